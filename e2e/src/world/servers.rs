//! The servers of the shop, as pods of the test's namespace, so that a test may kill its own. Talks to the API server,
//! and to PostgreSQL in its pod.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use serde_json::{Value, json};

use super::{World, wait_until};
use crate::CRATE_DIR;

/// Servers beside PostgreSQL's primary. Each is a pod and a Service of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// A streaming replica.
    Replica,
    /// Redis.
    Redis,
    /// The simulated payment provider.
    Payments,
}

const PRIMARY: &str = "postgres";
/// `max_connections` in the manifest of the primary.
const MAX_CONNECTIONS: u32 = 60;

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::Replica => "postgres-replica",
            Self::Redis => "redis",
            Self::Payments => "payments",
        }
    }
}

impl World {
    /// Starts the primary and `others`, waits until they are ready, and creates the Secrets with their addresses for
    /// `examples/shop.yaml` and `examples/stack.yaml`.
    ///
    /// # Errors
    /// When they are not ready in time.
    pub async fn start_servers(&self, others: &[Server]) -> Result<()> {
        self.start_servers_with(others, MAX_CONNECTIONS).await
    }

    /// As [`World::start_servers`], with another `max_connections` of the primary.
    ///
    /// # Errors
    /// As [`World::start_servers`].
    pub async fn start_servers_with(&self, others: &[Server], max_connections: u32) -> Result<()> {
        let password = format!("{:032x}", fastrand::u128(..));
        let postgres = |host: &str| format!("postgres://shop:{password}@{host}/shop");
        let mut shop = json!({"DATABASE_MAIN_URL": postgres(PRIMARY), "SIGNING_KEY": password});
        for server in others {
            match server {
                Server::Replica => shop["DATABASE_MAIN_READ_URL"] = json!(postgres(server.name())),
                Server::Redis => shop["REDIS_URL"] = json!(format!("redis://:{password}@{}", server.name())),
                Server::Payments => shop["PAYMENTS_URL"] = json!(format!("http://{}", server.name())),
            }
        }
        self.make_secret("servers", &json!({"password": password})).await?;
        self.make_secret("shop", &shop).await?;
        let primary = json!({
            "uri": postgres(PRIMARY), "host": PRIMARY, "user": "shop", "password": password, "dbname": "shop",
        });
        self.make_secret("shop-db", &primary).await?;
        let names: Vec<&str> =
            [PRIMARY].into_iter().chain(others.iter().map(|server| server.name())).collect();
        for name in &names {
            let written = format!("max_connections = {MAX_CONNECTIONS}");
            let wanted = format!("max_connections = {max_connections}");
            self.apply(&self.server_manifest(name)?.replace(&written, &wanted))
                .await
                .with_context(|| format!("failed to start {name}"))?;
        }
        wait_until("the servers are ready", Duration::from_secs(120), async || {
            for name in &names {
                self.pod_is_ready(name).await?;
            }
            Ok(())
        })
        .await
    }

    /// Starts the simulated payment provider alone, and waits until it is ready. Its address is `http://payments`.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub async fn start_payments(&self) -> Result<()> {
        let name = Server::Payments.name();
        self.apply(&self.server_manifest(name)?).await.with_context(|| format!("failed to start {name}"))?;
        wait_until("the payment provider is ready", Duration::from_secs(60), async || {
            self.pod_is_ready(name).await
        })
        .await
    }

    /// Changes the behavior of the simulated payment provider, for example to `{"hang": true}`; `{}` recovers.
    ///
    /// # Errors
    /// When it does not take it.
    pub async fn payments_behave(&self, behavior: &Value) -> Result<()> {
        let request = Request::put("/behavior").header(CONTENT_TYPE, "application/json");
        let answer = self.call("pods/payments:8082", request.body(behavior.to_string())?).await?;
        answer.has(200)
    }

    async fn make_secret(&self, name: &str, data: &Value) -> Result<()> {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        self.apply(&secret.to_string()).await.map(drop)
    }

    /// With the cluster's images.
    fn server_manifest(&self, name: &str) -> Result<String> {
        let file = Path::new(CRATE_DIR).join("servers").join(format!("{name}.yaml"));
        let text = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
        Ok(self.with_server_images(&text)?.replace("localhost/app-template:dev", &self.images.app))
    }

    /// A manifest with the cluster's images of the servers.
    pub(super) fn with_server_images(&self, manifest: &str) -> Result<String> {
        let mut text = manifest.to_owned();
        if text.contains("localhost/postgres:debian") {
            text = text.replace("localhost/postgres:debian", self.images.postgres()?);
        }
        if text.contains("localhost/redis:debian") {
            text = text.replace("localhost/redis:debian", self.images.redis()?);
        }
        Ok(text)
    }

    async fn pod_is_ready(&self, name: &str) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client(), &self.namespace);
        let status = pods.get(name).await?.status.unwrap_or_default();
        let mut conditions = status.conditions.iter().flatten();
        let ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
        ensure!(ready, "{name} is not ready: {:?}", status.container_statuses);
        Ok(())
    }

    /// Creates a product and an account through the Service of `web`, and returns an order for one of the product.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn stock_shop(&self) -> Result<Value> {
        let web = "services/shop-web:8080";
        let product = json!({"name": "Tea", "category": "drinks", "priceCents": 450});
        let product = self.insist(web, "/products", "product", &product).await?.json(201)?;
        let account = json!({"email": "ada@example.org", "name": "Ada"});
        let account = self.insist(web, "/accounts", "account", &account).await?.json(201)?;
        Ok(json!({"account": account["id"], "items": [{"product": product["id"], "quantity": 1}]}))
    }

    /// What a statement returns on the primary, columns separated by `|`.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn sql(&self, statement: &str) -> Result<String> {
        self.exec(PRIMARY, PRIMARY, &["psql", "-qAtX", "-c", statement]).await
    }

    /// Opens sessions of others on the primary, which last as long as its pod.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub async fn hold_sessions(&self, count: u32) -> Result<()> {
        let open = format!(
            "for one in $(seq {count}); do psql -qAtX -c 'SELECT pg_sleep(3600)' >/dev/null 2>&1 & done; sleep 1"
        );
        self.exec(PRIMARY, PRIMARY, &["sh", "-c", &open]).await?;
        let held = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(3600)'";
        let held = self.sql(held).await?;
        ensure!(held == count.to_string(), "{held} sessions are held");
        Ok(())
    }

    /// Stops PostgreSQL's primary as a power loss would, and blocks its restart.
    ///
    /// # Errors
    /// When it continues to run.
    pub async fn crash_primary(&self) -> Result<()> {
        self.exec(PRIMARY, PRIMARY, &["sh", "-c", "echo held >/data/held"]).await?;
        // The answer may be lost, because this session ends with the server's container.
        let _ = self.exec(PRIMARY, PRIMARY, &["pg_ctl", "stop", "--no-wait", "--mode=immediate"]).await;
        wait_until("the primary is gone", Duration::from_secs(30), async || {
            ensure!(self.pod_is_ready(PRIMARY).await.is_err(), "it is ready");
            Ok(())
        })
        .await
    }

    /// Allows the restart of the primary.
    ///
    /// # Errors
    /// When its container does not run.
    pub async fn restart_primary(&self) -> Result<()> {
        wait_until("the primary's container runs again", Duration::from_secs(60), async || {
            self.exec(PRIMARY, PRIMARY, &["sh", "-c", ": >/data/held"]).await
        })
        .await
        .map(drop)
    }
}
