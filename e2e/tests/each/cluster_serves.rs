//! The cluster that the other tests stand on: restricted pods, DNS, Services, load, metrics of containers, audit.

use std::time::Duration;

use anyhow::{Result, ensure};
use scalableapp_e2e::world::{World, wait_until};

const SERVER: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: server}
spec:
  replicas: 2
  selector: {matchLabels: {app: server}}
  template:
    metadata: {labels: {app: server}}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: server
        image: localhost/prometheus:v3.16.0
        args: [--config.file=/etc/prometheus/prometheus.yml, --storage.tsdb.path=/data]
        ports: [{containerPort: 9090}]
        readinessProbe: {httpGet: {path: /-/ready, port: 9090}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 3}}}
        resources: {requests: {cpu: 50m, memory: 64Mi}}
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities: {drop: [ALL]}
        volumeMounts:
        - {name: config, mountPath: /etc/prometheus}
        - {name: data, mountPath: /data}
      volumes:
      - {name: config, configMap: {name: server}}
      - {name: data, emptyDir: {}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: server}
data:
  prometheus.yml: |
    scrape_configs:
    - job_name: self
      scrape_interval: 1s
      static_configs: [{targets: ['127.0.0.1:9090']}]
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {selector: {app: server}, ports: [{name: http, port: 80, targetPort: 9090}]}
";

#[tokio::test]
async fn cluster_serves() -> Result<()> {
    World::run("cluster_serves", async |world| {
        let mark = world.audit()?.mark()?;
        world.apply(SERVER).await?;
        let prometheus = world.prometheus(world.namespace(), "server:80");
        wait_until("a server has scraped itself", Duration::from_secs(60), async || {
            let up = prometheus.query("up").await?;
            ensure!(up.iter().any(|sample| sample.value == 1.0), "up is {up:?}");
            Ok(())
        })
        .await?;

        let url = format!("http://server.{}.svc/-/healthy", world.namespace());
        let report = world.start_load("load", &url, "2s@10..50,3s@50").await?.finish().await?;
        ensure!(report.ok == 210 && report.sent == 210, "{report:?}");

        wait_until("the kubelet measures the server", Duration::from_secs(60), async || {
            let request = hyper::Request::get("/api/v1/nodes").body(Vec::new())?;
            let nodes: serde_json::Value = world.client().request(request).await?;
            let node = nodes["items"][0]["metadata"]["name"].as_str().unwrap_or_default();
            let path = format!("/api/v1/nodes/{node}/proxy/metrics/resource");
            let metrics = world.client().request_text(hyper::Request::get(path).body(Vec::new())?).await?;
            let series = format!(
                r#"container_cpu_usage_seconds_total{{container="server",namespace="{}""#,
                world.namespace()
            );
            ensure!(metrics.contains(&series), "no series begins with {series}");
            Ok(())
        })
        .await?;

        let mutations = world.audit()?.mutations_since(mark)?;
        let ours = mutations.iter().filter(|mutation| {
            mutation.namespace == world.namespace()
                && mutation.user == "kubernetes-admin"
                && mutation.verb == "patch"
        });
        ensure!(ours.count() == 3, "{mutations:?}");
        Ok(())
    })
    .await
}
