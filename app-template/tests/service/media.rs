//! Pictures are in an object store, whichever pod is asked.

use crate::child::Service;
use crate::client::Answer;
use crate::object_store::ObjectStore;
use crate::postgres::{Reads, shared};
use crate::redis_server::free_port;
use crate::shop::stock;
use crate::waiting::until;

/// As much of a picture as the service looks at: WebP, because its header can be a text.
pub(crate) const PICTURE: &str = "RIFF\x12\0\0\0WEBPVP8L\x05\0\0\0/\0\0\0\0\0";

pub(crate) fn upload(service: &Service, product: i64, content_type: &str, body: &str) -> Answer {
    let mut connection = service.connect();
    let headers = format!("content-type: {content_type}\r\ncontent-length: {}\r\n", body.len());
    connection.send_with("POST", &format!("/media?product={product}"), &headers, body).unwrap();
    connection.receive().unwrap()
}

#[test]
fn what_one_pod_took_another_shows() {
    let database = shared();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    let pods = [(), ()].map(|()| {
        Service::spawn(database.command(Reads::FromPrimary, &[]).env("MEDIA_URL", &url)).wait_until_ready()
    });
    let (_, products) = stock(&pods[0], 1);
    let taken = upload(&pods[0], products[0], "image/webp", PICTURE);
    assert_eq!(taken.status, 201, "{}", taken.body);
    let path = &taken.headers["location"];
    let shown = pods[1].connect().get(path).unwrap();
    assert_eq!((shown.status, shown.body.as_str()), (200, PICTURE));
    assert_eq!(shown.headers["content-type"], "image/webp");
    assert_eq!(shown.headers["x-content-type-options"], "nosniff");
    assert!(shown.headers["content-security-policy"].contains("sandbox"));
    let list = pods[1].connect().get(&format!("/media?product={}", products[0])).unwrap().json();
    assert_eq!(list["media"][0], path.as_str());

    // The store has lost it.
    folder.close().unwrap();
    assert_eq!(pods[0].connect().get(path).unwrap().status, 503);
}

#[test]
fn what_is_no_picture_is_refused_as_a_problem_document() {
    let database = shared();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    let service =
        Service::spawn(database.command(Reads::FromPrimary, &[]).env("MEDIA_URL", url)).wait_until_ready();
    let (_, products) = stock(&service, 1);
    let large = "a".repeat(3_000_000);
    for (product, content_type, body, status) in [
        (products[0], "image/svg+xml", "<svg/>", 415),
        (products[0], "application/json", "{}", 415),
        (products[0], "image/png", "", 422),
        (products[0], "image/png", large.as_str(), 413),
        (products[0], "image/png", PICTURE, 422),
        (products[0], "image/webp", "<script>alert(1)</script>", 422),
        (0, "image/webp", PICTURE, 422),
    ] {
        let refused = upload(&service, product, content_type, body);
        assert_eq!(refused.status, status, "{content_type}: {}", refused.body);
        refused.problem();
    }
    for (path, status) in [
        ("/media", 400),
        ("/media?product=x", 400),
        ("/media/1", 400),
        ("/media/00000000-0000-0000-0000-000000000000", 404),
    ] {
        let refused = service.connect().get(path).unwrap();
        assert_eq!(refused.status, status, "{path}");
        refused.problem();
    }
}

#[test]
fn an_object_store_that_is_gone_is_left_alone() {
    let database = shared();
    let environment = [
        ("MEDIA_URL", "s3://pictures/shop".to_owned()),
        ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", free_port())),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "the-user".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "the-secret".to_owned()),
    ];
    let service =
        Service::spawn(database.command(Reads::FromPrimary, &[]).envs(environment)).wait_until_ready();
    let (_, products) = stock(&service, 1);
    until("its breaker does not open", || {
        let refused = upload(&service, products[0], "image/webp", PICTURE);
        assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (503, "1"), "{}", refused.body);
        service.scrape().contains("circuit_breaker_state{name=\"objects\",state=\"open\"} 1\n")
    });
    assert!(service.sum("retry_attempts_total{name=\"objects\"") > 0.0);
    let health = service.connect().get("/healthz").unwrap().json();
    assert!(health["dependencies"].as_array().unwrap().iter().any(|entry| entry["name"] == "objects"));
}

#[test]
fn pictures_are_kept_by_an_object_store_that_checks_signatures() {
    let database = shared();
    let store = ObjectStore::start("the-user", "the-secret");
    store.make_bucket("pictures");
    let pod = |secret: &str| {
        let environment = [
            ("MEDIA_URL", "s3://pictures/shop"),
            ("AWS_ENDPOINT", store.url.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "here"),
            ("AWS_ACCESS_KEY_ID", "the-user"),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ];
        Service::spawn(database.command(Reads::FromPrimary, &[]).envs(environment)).wait_until_ready()
    };
    let [taker, shower, stranger] = ["the-secret", "the-secret", "a-guess"].map(pod);
    let (_, products) = stock(&taker, 1);

    let taken = upload(&taker, products[0], "image/webp", PICTURE);
    assert_eq!(taken.status, 201, "{}", taken.body);
    assert_eq!(store.objects("pictures", "shop"), [PICTURE.as_bytes()]);
    let shown = shower.connect().get(&taken.headers["location"]).unwrap();
    assert_eq!((shown.status, shown.body.as_str()), (200, PICTURE));

    let refused = upload(&stranger, products[0], "image/webp", PICTURE);
    assert_eq!(refused.status, 503, "{}", refused.body);
    refused.problem();
    assert_eq!(store.objects("pictures", "shop").len(), 1, "what is not signed is not kept");
}
