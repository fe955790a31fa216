//! Queries a Prometheus of the cluster, through the API server. Talks to Prometheus.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::World;

/// A Prometheus behind a Service.
pub struct Prometheus<'a> {
    world: &'a World,
    namespace: String,
    service: String,
}

/// One series of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The labels, with the metric's name as `__name__`.
    pub labels: BTreeMap<String, String>,
    /// The value, which may be NaN.
    pub value: f64,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// A time, and the value as a string.
    value: (f64, String),
}

impl World {
    /// The Prometheus behind this Service, which is written `name:port`.
    pub fn prometheus(&self, namespace: &str, service: &str) -> Prometheus<'_> {
        Prometheus { world: self, namespace: namespace.to_owned(), service: service.to_owned() }
    }
}

impl World {
    /// Sum of the series of this test's apps in the cluster's Prometheus, 0 without one. `NAMESPACE` in the selector is
    /// the matcher of the test's namespace.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub async fn sum_of(&self, selector: &str) -> Result<f64> {
        let selector = selector.replace("NAMESPACE", &format!("namespace=\"{}\"", self.namespace()));
        let prometheus = self.prometheus("scalableapp-system", "scalableapp-prometheus:9090");
        let samples = prometheus.query(&format!("sum({selector})")).await?;
        Ok(samples.first().map_or(0.0, |sample| sample.value))
    }
}

impl Prometheus<'_> {
    /// The current instant vector of a query; without series it is an empty list.
    ///
    /// # Errors
    /// When Prometheus cannot be reached or refuses the query, or the result is not a vector.
    pub async fn query(&self, promql: &str) -> Result<Vec<Sample>> {
        let query: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("query", promql).finish();
        let path = format!("/api/v1/query?{query}");
        let answer = self.world.service_get(&self.namespace, &self.service, &path).await?;
        parse(&answer).with_context(|| format!("failed to read the answer to {promql}"))
    }
}

fn parse(answer: &str) -> Result<Vec<Sample>> {
    let answer: Answer = serde_json::from_str(answer)?;
    let series = answer.data.result.into_iter();
    series.map(|series| Ok(Sample { labels: series.metric, value: series.value.1.parse()? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_read_and_an_empty_one_is_empty() {
        let answer = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"a"},"value":[1700000000.1,"0.5"]},{"metric":{},"value":[1,"NaN"]}]}}"#;
        let samples = parse(answer).unwrap();
        assert_eq!((samples[0].labels["job"].as_str(), samples[0].value), ("a", 0.5));
        assert!(samples[1].value.is_nan());
        assert!(
            parse(r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#).unwrap().is_empty()
        );
        assert!(parse(r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#).is_err());
    }
}
