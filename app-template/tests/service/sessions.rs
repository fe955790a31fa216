//! A session follows its client to any pod, and Redis may go and come.

use redis::Commands;

use crate::child::Service;
use crate::client::{Answer, Connection};
use crate::redis_server::RedisServer;
use crate::waiting::until;

/// A pod that waits for Redis even on a machine that is busy with something else.
fn pod(redis: &RedisServer) -> Service {
    Service::start(&["--redis-url", &redis.url(), "--redis-timeout", "10s"])
}

/// One visit with the given cookies.
fn visit(connection: &mut Connection, cookie: &str) -> Answer {
    let cookie = if cookie.is_empty() { String::new() } else { format!("cookie: {cookie}\r\n") };
    connection.exchange("POST", "/visits", &cookie, "").unwrap()
}

/// The cookie that a browser would send back.
fn cookie(answer: &Answer) -> String {
    let (cookie, attributes) = answer.headers["set-cookie"].split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=1800; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(answer.headers["cache-control"], "no-store");
    cookie.to_owned()
}

#[test]
fn any_pod_knows_the_session() {
    let redis = RedisServer::start();
    let pods = [pod(&redis), pod(&redis)];
    let mut connections = [pods[0].connect(), pods[1].connect()];
    let mut known = String::new();
    for number in 0..6 {
        let answer = visit(&mut connections[number % 2], &known);
        assert_eq!(answer.body, format!("{{\"count\":{}}}", number + 1));
        known = cookie(&answer);
    }
    let key = format!("session:{}", known.strip_prefix("session=").unwrap());
    let seconds: i64 = redis::Client::open(redis.url()).unwrap().get_connection().unwrap().ttl(key).unwrap();
    assert!((1..=1800).contains(&seconds), "{seconds}");
}

#[test]
fn an_id_that_the_client_chose_is_not_adopted() {
    let redis = RedisServer::start();
    let pod = pod(&redis);
    let chosen = "session=00000000000040008000000000000001";
    let answer = visit(&mut pod.connect(), chosen);
    assert_eq!(answer.body, "{\"count\":1}");
    assert_ne!(cookie(&answer), chosen);
}

#[test]
fn without_redis_sessions_are_refused_and_nothing_else_is() {
    let mut redis = RedisServer::start();
    let pod = pod(&redis);
    let mut connection = pod.connect();
    let known = cookie(&visit(&mut connection, ""));

    redis.kill();
    // Through the opening of the breaker.
    for _ in 0..40 {
        let answer = visit(&mut connection, &known);
        assert_eq!((answer.status, answer.headers["x-degraded"].as_str()), (503, "shed"));
        assert!(answer.problem()["detail"].as_str().unwrap().contains("Sessions"));
        assert!(!answer.headers.contains_key("set-cookie"), "logged out");
    }
    pod.wait_for_sample("circuit_breaker_state{name=\"redis\",state=\"open\"}", "1");
    for path in ["/", "/wait?ms=1", "/readyz", "/livez"] {
        assert_eq!(connection.get(path).unwrap().status, 200, "{path}");
    }

    redis.revive();
    until("no session although Redis is back", || visit(&mut connection, &known).status == 200);
}
