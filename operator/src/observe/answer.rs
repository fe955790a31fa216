//! An answer of Prometheus' query API. Pure.
//!
//! Only what is read is described; warnings, statistics and the like are passed over.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The body of an answer, good or bad.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<T = Data> {
    /// The result, if the query was run.
    pub data: Option<T>,
    /// The kind of error, if it was not: a word such as `bad_data`.
    pub error_type: Option<String>,
}

/// The result of an instant query. A range of samples or a string cannot be read, and nobody asks for them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub enum Data {
    /// One sample for each series.
    Vector(Vec<Series>),
    /// A number.
    Scalar(Sample),
}

/// The labels that are read of a series. The others are passed over: of thousands of series they would be most of the
/// memory.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// Namespace of the pod.
    pub namespace: Option<Box<str>>,
    /// Name of the app.
    pub scalableapp: Option<Box<str>>,
    /// Name of the component.
    pub component: Option<Box<str>>,
    /// Name of the pod.
    pub pod: Option<Box<str>>,
    /// Upper bound of a histogram's bucket.
    pub le: Option<Box<str>>,
    /// End of the window that a count of pods is of: `start` or `end`.
    pub at: Option<Box<str>>,
}

/// A series and its sample.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Series {
    /// Its labels.
    #[serde(rename = "metric")]
    pub labels: Labels,
    /// The sample. A native histogram has none, which reads as not a number.
    #[serde(rename = "value", default = "not_a_number")]
    pub sample: Sample,
}

/// The result of a range query.
#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub enum RangeData {
    /// The samples of each series.
    Matrix(Vec<Trace>),
}

/// A series and its samples, the oldest first.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Trace {
    /// Its labels.
    #[serde(rename = "metric")]
    pub labels: Labels,
    /// The samples. Native histograms have none.
    #[serde(rename = "values", default)]
    pub samples: Vec<Sample>,
}

/// The time of the evaluation in seconds, and the value.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Sample(pub f64, #[serde(deserialize_with = "number")] pub f64);

impl Data {
    /// The series; a scalar is one without labels.
    pub fn series(&self) -> impl Iterator<Item = (&Labels, f64)> {
        static NONE: Labels =
            Labels { namespace: None, scalableapp: None, component: None, pod: None, le: None, at: None };
        let (vector, scalar) = match self {
            Self::Vector(vector) => (vector.as_slice(), None),
            Self::Scalar(Sample(_, value)) => (&[][..], Some((&NONE, *value))),
        };
        vector.iter().map(|one| (&one.labels, one.sample.1)).chain(scalar)
    }
}

fn not_a_number() -> Sample {
    Sample(0.0, f64::NAN)
}

/// JSON has no NaN and no infinity, so Prometheus writes numbers as text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(body: &str) -> Vec<f64> {
        let answer: Answer = serde_json::from_str(body).unwrap();
        answer.data.unwrap().series().map(|(_, value)| value).collect()
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
    }

    #[test]
    fn an_error_has_its_kind() {
        let answer: Answer =
            serde_json::from_str(r#"{"status":"error","errorType":"bad_data","error":"x"}"#).unwrap();
        assert_eq!((answer.data, answer.error_type.as_deref()), (None, Some("bad_data")));
    }
}
