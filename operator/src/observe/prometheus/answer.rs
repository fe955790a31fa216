//! An answer of Prometheus' query API. Pure.
//!
//! Results of templates are read here, the others by the crate that sends the queries. Statistics are skipped, and of
//! warnings only whether one reports missing data is read. Labels stay in the body: those of thousands of series would
//! be copied and dropped in every tick.

use std::borrow::Cow;
use std::ops::Deref;

use hashbrown::{Equivalent, HashMap};
use jiff::{SignedDuration, Timestamp};
use prometheus_http_query::response::{self, InstantVector, RangeVector};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use yoke::{Yoke, Yokeable};

use crate::resolve::app::ComponentKey;

/// The body of an answer, successful or not.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a, T> {
    /// The result, if the query succeeded.
    data: Option<T>,
    /// VictoriaMetrics' flag for servers that did not answer.
    #[serde(default)]
    is_partial: bool,
    /// Thanos' warnings about them, and Prometheus' remarks on the query.
    #[serde(default, borrow)]
    warnings: Option<Vec<Text<'a>>>,
    /// The kind of error, if it failed: a word such as `bad_data`.
    error_type: Option<String>,
}

/// Why a body has no result.
#[derive(Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Prometheus refused the query. Its name for the error is a word of a fixed list.
    Rejected(String),
    /// It is not an answer to a query.
    Unreadable,
}

/// A result, and whether it may lack data of servers that did not answer.
#[derive(Debug, PartialEq)]
pub struct MaybePartial<T> {
    /// The result.
    pub data: T,
    /// Whether data is missing.
    pub is_partial: bool,
}

/// Reads the result in a body.
///
/// # Errors
/// When there is none.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<MaybePartial<T>, Unanswered> {
    match serde_json::from_slice::<Answer<'a, T>>(body) {
        Ok(Answer { data: Some(data), is_partial, warnings, .. }) => {
            let is_partial = is_partial || warnings.iter().flatten().any(|warning| !is_remark(warning));
            Ok(MaybePartial { data, is_partial })
        }
        // Only a word is shown to users.
        Ok(Answer { error_type: Some(kind), .. })
            if kind.chars().all(|c| c.is_ascii_lowercase() || c == '_') =>
        {
            Err(Unanswered::Rejected(kind))
        }
        _ => Err(Unanswered::Unreadable),
    }
}

/// Whether a warning is one of Prometheus' remarks on the query itself. Any other concerns a server.
fn is_remark(warning: &str) -> bool {
    ["PromQL warning:", "PromQL info:"].iter().any(|start| warning.starts_with(start))
        || warning.ends_with("annotations omitted")
}

/// The result of an instant query, with the body that contains its labels.
pub type QueryResult = Yoke<Outcome<'static>, Vec<u8>>;

/// The result of an instant query.
#[derive(Debug, PartialEq, Yokeable)]
pub struct Outcome<'a> {
    /// The result.
    pub data: Data<'a>,
    /// Whether it may lack data of servers that did not answer.
    pub is_partial: bool,
}

impl<'a> Outcome<'a> {
    /// Reads the result of an instant query in a body.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(body: &'a [u8]) -> Result<Self, Unanswered> {
        read(body).map(|MaybePartial { data, is_partial }| Self { data, is_partial })
    }
}

/// The result of an instant query. A range of samples or a string is not supported, because no query returns them.
#[derive(Debug, PartialEq, Deserialize, Yokeable)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub enum Data<'a> {
    /// One sample for each series.
    #[serde(borrow)]
    Vector(Vec<Series<'a>>),
    /// A number.
    Scalar(Sample),
}

/// A string of the body, copied only where it contains an escape.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The labels of a series that are read. The others are skipped: for thousands of series they would be most of the
/// memory.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Labels<'a> {
    /// Namespace of the pod.
    #[serde(borrow)]
    pub namespace: Option<Text<'a>>,
    /// Name of the app.
    pub scalableapp: Option<Text<'a>>,
    /// Name of the component.
    pub component: Option<Text<'a>>,
    /// Name of the pod.
    pub pod: Option<Text<'a>>,
    /// Name of the container.
    pub container: Option<Text<'a>>,
    /// Upper bound of a histogram's bucket.
    pub le: Option<Text<'a>>,
    /// Name of a queue of jobs.
    pub queue: Option<Text<'a>>,
    /// Name of a circuit breaker.
    pub name: Option<Text<'a>>,
    /// State of the jobs in a queue, or of a circuit breaker.
    pub state: Option<Text<'a>>,
    /// End of the window for a count of pods, `start` or `end`; of a short window its `rate`, `number` or `pods`.
    pub at: Option<Text<'a>>,
    /// Name of a database of the app.
    pub database: Option<Text<'a>>,
    /// Owner of the sessions in a database: `app` or `others`.
    pub owner: Option<Text<'a>>,
    /// Name of a connection pool.
    #[serde(rename = "db_client_connection_pool_name")]
    pub pool: Option<Text<'a>>,
}

/// A series and its sample.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Series<'a> {
    /// Its labels.
    #[serde(rename = "metric", borrow)]
    pub labels: Labels<'a>,
    /// The sample. A native histogram has none, which counts as not a number.
    #[serde(rename = "value", default = "not_a_number")]
    pub sample: Sample,
}

/// The time of the evaluation in seconds, and the value.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Sample(pub f64, #[serde(deserialize_with = "number")] pub f64);

/// The component in the labels of a series. Its hash is that of the [`ComponentKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Named<'a> {
    namespace: &'a str,
    app: &'a str,
    component: &'a str,
}

impl Equivalent<ComponentKey> for Named<'_> {
    fn equivalent(&self, key: &ComponentKey) -> bool {
        let Self { namespace, app, component } = *self;
        (namespace, app, component) == (key.namespace.as_str(), key.app.as_str(), key.component.as_str())
    }
}

impl Labels<'_> {
    /// The component. A series without one of its labels belongs to none.
    #[must_use]
    pub fn component(&self) -> Option<Named<'_>> {
        Some(Named {
            namespace: self.namespace.as_deref()?,
            app: self.scalableapp.as_deref()?,
            component: self.component.as_deref()?,
        })
    }

    /// Namespace, app and name of the queue.
    #[must_use]
    pub fn queue_name(&self) -> Option<(&str, &str, &str)> {
        Some((self.namespace.as_deref()?, self.scalableapp.as_deref()?, self.queue.as_deref()?))
    }

    /// The database, named as a component of its app is.
    #[must_use]
    pub fn database_name(&self) -> Option<Named<'_>> {
        Some(Named {
            namespace: self.namespace.as_deref()?,
            app: self.scalableapp.as_deref()?,
            component: self.database.as_deref()?,
        })
    }

    /// Namespace and name of the pod.
    #[must_use]
    pub fn pod_name(&self) -> Option<(&str, &str)> {
        Some((self.namespace.as_deref()?, self.pod.as_deref()?))
    }
}

impl<'a> Data<'a> {
    /// The series; a scalar is one series without labels.
    pub fn series(&self) -> impl Iterator<Item = (&Labels<'a>, f64)> {
        static NONE: Labels<'_> = Labels {
            namespace: None,
            scalableapp: None,
            component: None,
            pod: None,
            container: None,
            le: None,
            queue: None,
            name: None,
            state: None,
            at: None,
            database: None,
            owner: None,
            pool: None,
        };
        let (vector, scalar) = match self {
            Self::Vector(vector) => (vector.as_slice(), None),
            Self::Scalar(Sample(_, value)) => (&[][..], Some((&NONE, *value))),
        };
        vector.iter().map(|one| (&one.labels, one.sample.1)).chain(scalar)
    }

    /// The value of each component.
    #[must_use]
    pub fn by_component(&self) -> HashMap<Named<'_>, f64> {
        self.series().filter_map(|(labels, value)| Some((labels.component()?, value))).collect()
    }
}

#[cfg(test)]
impl Outcome<'static> {
    /// One sample for each of these labels.
    pub(super) fn vector(series: &[(serde_json::Value, &str)]) -> Self {
        use serde_json::json;
        let series = series.iter().map(|(labels, value)| json!({"metric": labels, "value": [0.0, value]}));
        let data = json!({"resultType": "vector", "result": series.collect::<Vec<_>>()});
        Self { data: Data::deserialize(data).unwrap(), is_partial: false }
    }
}

/// The time of a sample with that age in seconds.
#[must_use]
pub fn taken(now: Timestamp, age: f64) -> Option<Timestamp> {
    now.checked_sub(SignedDuration::try_from_secs_f64(age).ok()?).ok()
}

fn not_a_number() -> Sample {
    Sample(0.0, f64::NAN)
}

/// JSON has no NaN and no infinity, so Prometheus writes numbers as text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Text::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// The result of a custom query.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// The value of each series.
    pub values: Vec<f64>,
    /// The label `pod` of each series, in the same order.
    pub pods: Vec<Option<String>>,
    /// Whether the answer may lack data.
    pub is_partial: bool,
}

impl Values {
    /// Reads the result of an instant query in a body.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(body: &[u8]) -> Result<Self, Unanswered> {
        let MaybePartial { data, is_partial } = read::<&RawValue>(body)?;
        let (values, pods) = match serde_json::from_str(data.get()) {
            Ok(response::Data::Vector(vector)) => {
                let pod = |one: &InstantVector| one.metric().get("pod").cloned();
                vector.iter().map(|one| (one.sample().value(), pod(one))).unzip()
            }
            Ok(response::Data::Scalar(sample)) => (vec![sample.value()], vec![None]),
            // The crate has no type for a native histogram, which is not a number.
            Ok(response::Data::Matrix(_)) | Err(_) => {
                let data: Data<'_> = serde_json::from_str(data.get()).map_err(|_| Unanswered::Unreadable)?;
                let pod = |labels: &Labels<'_>| labels.pod.as_deref().map(str::to_owned);
                data.series().map(|(labels, value)| (value, pod(labels))).unzip()
            }
        };
        Ok(Self { values, pods, is_partial })
    }
}

/// Reads the result of a range query in a body. A native histogram has no samples.
///
/// # Errors
/// When there is none.
pub fn series_of(body: &[u8]) -> Result<MaybePartial<Vec<RangeVector>>, Unanswered> {
    let MaybePartial { data, is_partial } = read::<&RawValue>(body)?;
    if let Ok(data) = serde_json::from_str(data.get()) {
        let response::Data::Matrix(data) = data else { return Err(Unanswered::Unreadable) };
        return Ok(MaybePartial { data, is_partial });
    }
    // The crate has no type for a native histogram, whose series have no values.
    let ranges: Ranges<'_> = serde_json::from_str(data.get()).map_err(|_| Unanswered::Unreadable)?;
    let with_values = ranges.result.iter().filter_map(|series| serde_json::from_str(series.get()).ok());
    Ok(MaybePartial { data: with_values.collect(), is_partial })
}

/// Series of a range query, each as it is written.
#[derive(Deserialize)]
struct Ranges<'a> {
    #[serde(borrow)]
    result: Vec<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(body: &str) -> Vec<f64> {
        read::<Data<'_>>(body.as_bytes()).unwrap().data.series().map(|(_, value)| value).collect()
    }

    #[test]
    fn vectors_and_scalars_are_read() {
        let body = r#"{"status":"success","warnings":["w"],"data":{"resultType":"vector","stats":{},"result":[
            {"metric":{"pod":"a"},"value":[1.5,"+Inf"]},{"metric":{},"value":[1.5,"-0.25"]}]}}"#;
        assert_eq!(values(body), [f64::INFINITY, -0.25]);
        assert_eq!(values(r#"{"data":{"resultType":"scalar","result":[1,"3"]}}"#), [3.0]);
        assert_eq!(values(r#"{"data":{"result":[1,"3"],"resultType":"scalar"}}"#), [3.0]);
    }

    #[test]
    fn a_native_histogram_is_not_a_number() {
        let body =
            r#"{"data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"3"}]}]}}"#;
        assert!(values(body)[0].is_nan());
        assert!(Values::read(body.as_bytes()).unwrap().values[0].is_nan());
        let body =
            r#"{"data":{"resultType":"matrix","result":[{"metric":{},"histograms":[[1,{"count":"3"}]]}]}}"#;
        assert_eq!(series_of(body.as_bytes()).unwrap().data, []);
        let beside = r#"{"data":{"resultType":"matrix","result":[{"metric":{},"histograms":[[1,{"count":"3"}]]},
            {"metric":{"a":"b"},"values":[[1.5,"2"]]}]}}"#;
        assert_eq!(series_of(beside.as_bytes()).unwrap().data.len(), 1);
        for none in [r#"{"data":{"resultType":"matrix","result":null}}"#, r#"{"data":{}}"#] {
            assert_eq!(series_of(none.as_bytes()).map(|_| ()), Err(Unanswered::Unreadable), "{none}");
        }
    }

    #[test]
    fn an_own_query_and_a_range_are_read_as_a_template_is() {
        let own = |data: &str| Values::read(format!(r#"{{"isPartial":true,"data":{data}}}"#).as_bytes());
        let vector = r#"{"resultType":"vector","result":[{"metric":{"pod":"b"},"value":[1.5,"+Inf"]}]}"#;
        let infinite =
            Values { values: vec![f64::INFINITY], pods: vec![Some("b".to_owned())], is_partial: true };
        assert_eq!(own(vector), Ok(infinite));
        let scalar = r#"{"resultType":"scalar","result":[1,"3"]}"#;
        assert_eq!(own(scalar), Ok(Values { values: vec![3.0], pods: vec![None], is_partial: true }));
        let text = r#"{"resultType":"string","result":[1,"3"]}"#;
        assert_eq!(own(text), Err(Unanswered::Unreadable));
        let range =
            r#"{"data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1.5,"2"]]}]}}"#;
        let series = series_of(range.as_bytes()).unwrap();
        assert_eq!((series.data[0].samples()[0].value(), series.is_partial), (2.0, false));
        assert_eq!(series_of(b"<html>").map(|_| ()), Err(Unanswered::Unreadable));
    }

    #[test]
    fn labels_are_read_where_they_are_and_copied_only_where_they_are_escaped() {
        let body = r#"{"data":{"resultType":"vector","result":[
            {"metric":{"pod":"a","component":"w\u0065b","team":"x"},"value":[1.5,"1"]}]}}"#;
        let data = read::<Data<'_>>(body.as_bytes()).unwrap().data;
        let (labels, _) = data.series().next().unwrap();
        assert!(matches!(&labels.pod, Some(Text(Cow::Borrowed("a")))), "{labels:?}");
        assert_eq!(labels.component.as_deref(), Some("web"));
    }

    #[test]
    fn an_answer_that_servers_are_missing_from_is_not_whole() {
        let is_partial = |more: &str| {
            let body =
                format!(r#"{{"status":"success",{more}"data":{{"resultType":"vector","result":[]}}}}"#);
            Outcome::read(body.as_bytes()).unwrap().is_partial
        };
        assert!(is_partial(r#""isPartial":true,"#));
        assert!(is_partial(r#""warnings":["No StoreAPIs matched for this query"],"#));
        assert!(is_partial(
            r#""warnings":["PromQL warning: x","receive series from Addr: 10.0.0.1: refused"],"#
        ));
        assert!(!is_partial(
            r#""isPartial":false,"warnings":["PromQL warning: x","3 more warning annotations omitted"],"infos":["y"],"#
        ));
        assert!(!is_partial(r#""warnings":null,"#));
    }

    #[test]
    fn an_error_has_its_kind_and_nothing_else_is_repeated() {
        let read = |body: &str| read::<Data<'_>>(body.as_bytes()).unwrap_err();
        assert_eq!(
            read(r#"{"status":"error","errorType":"bad_data","error":"x"}"#),
            Unanswered::Rejected("bad_data".to_owned())
        );
        assert_eq!(read(r#"{"status":"error","errorType":"see http://x"}"#), Unanswered::Unreadable);
        assert_eq!(read("<html>"), Unanswered::Unreadable);
    }
}
