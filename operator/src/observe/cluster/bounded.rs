//! Bounds the memory for answers of the API server, whatever tenants write. Answers are split into objects as they
//! arrive, and unused fields are dropped. An object that is still too large is replaced by its identifying metadata. A
//! client layer. I/O in.

use std::mem;
use std::task::{Context, Poll};

use axum::body::Body as Cut;
use axum::body::{Bytes, HttpBody};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use scalableapp_crds::{LARGEST, RawObject};
use tower::{BoxError, Service, layer::layer_fn};

/// A client whose answers are bounded.
///
/// # Errors
/// As [`Client::try_from`].
pub fn client(config: Config) -> kube::Result<Client> {
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer_fn(Bounded)).build())
}

/// A service whose answers are bounded.
#[derive(Clone)]
pub struct Bounded<S>(pub S);

impl<S, B> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Cut>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Cut>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shape = Shape::of(&request);
        let answer = self.0.call(request);
        async move {
            let answer = answer.await?;
            let is_success = answer.status().is_success();
            Ok(answer.map(|body| if is_success { cut(body, shape) } else { Cut::new(body) }))
        }
        .boxed()
    }
}

fn cut<B>(body: B, shape: Shape) -> Cut
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut cutter = Cutter::new(shape);
    Cut::from_stream(body.into_data_stream().map(move |bytes| match bytes {
        Ok(bytes) => cutter.take(&bytes).map_err(BoxError::from),
        Err(error) => Err(error.into()),
    }))
}

/// The content of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// One object.
    Object,
    /// The response to a status write.
    Status,
    /// Watch events, each with an object.
    Watch,
    /// A page of a list.
    List,
}

impl Shape {
    fn of(request: &Request<Body>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let asks = |parameter: &str| query.split('&').any(|one| one.starts_with(parameter));
        match *request.method() {
            Method::GET if asks("watch=true") => Self::Watch,
            // Every list is read in pages.
            Method::GET if asks("limit=") => Self::List,
            Method::PATCH if request.uri().path().ends_with("/status") => Self::Status,
            _ => Self::Object,
        }
    }

    /// The parts of an answer around each object.
    fn depth(self) -> u32 {
        match self {
            Self::Object | Self::Status => 0,
            Self::Watch => 1,
            Self::List => 2,
        }
    }
}

/// An object exceeds the size limit.
#[derive(Debug, thiserror::Error)]
#[error(
    "the object has {0} bytes as JSON without status and annotations, and no more than {LARGEST} are read"
)]
struct TooLarge(usize);

/// Finds the objects in an answer by brackets alone. It holds one of them at a time.
struct Cutter {
    shape: Shape,
    depth: u32,
    in_text: bool,
    is_escaped: bool,
    /// The current object; empty between two.
    object: Vec<u8>,
}

impl Cutter {
    fn new(shape: Shape) -> Self {
        Self { shape, depth: 0, in_text: false, is_escaped: false, object: Vec::new() }
    }

    /// The output for the next bytes.
    fn take(&mut self, bytes: &[u8]) -> Result<Vec<u8>, TooLarge> {
        let mut passed = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            let begins = byte == b'{' && !self.in_text && self.depth == self.shape.depth();
            let is_inside = begins || !self.object.is_empty();
            if is_inside { &mut self.object } else { &mut passed }.push(byte);
            self.follow(byte);
            if is_inside && byte == b'}' && !self.in_text && self.depth == self.shape.depth() {
                passed.extend(bounded(mem::take(&mut self.object), self.shape)?);
            }
        }
        Ok(passed)
    }

    fn follow(&mut self, byte: u8) {
        if self.in_text {
            self.in_text = byte != b'"' || self.is_escaped;
            self.is_escaped = byte == b'\\' && !self.is_escaped;
            return;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

/// An object without unused fields, or its replacement. Anything else is passed on, and refused by the decoder.
fn bounded(text: Vec<u8>, shape: Shape) -> Result<Vec<u8>, TooLarge> {
    let parsed = std::str::from_utf8(&text).ok().and_then(|text| RawObject::of(text).ok());
    let Some(mut object) = parsed else { return Ok(text) };
    let written = object.written_bytes();
    if shape == Shape::Object {
        // They tell who edited it.
        object.drop_unreadable_times();
    } else {
        object.reduce_managed_fields();
    }
    if matches!(shape, Shape::Watch | Shape::List) {
        // A single object is read for fields that a list does not need.
        object.drop_metadata("annotations");
    }
    let bounded = match shape {
        // The status of an object that is too large is written, too.
        Shape::Status => object.stand_in(&["status"]).text(None),
        _ if written <= LARGEST => object.text(None),
        Shape::Object => return Err(TooLarge(written)),
        Shape::Watch | Shape::List => object.stand_in(&[]).text(Some(written)),
    };
    Ok(bounded.map_or_else(|_| text.clone(), String::into_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The output for an answer in chunks of this size.
    fn passed(shape: Shape, answer: &str, chunk: usize) -> Result<String, TooLarge> {
        let mut cutter = Cutter::new(shape);
        let chunks: Result<Vec<_>, _> =
            answer.as_bytes().chunks(chunk).map(|bytes| cutter.take(bytes)).collect();
        Ok(String::from_utf8(chunks?.concat()).expect("UTF-8"))
    }

    fn pod(name: &str, volumes: usize) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "annotations": {"a": "}]\"{\\"}, "labels": {"a": "b"},
                "managedFields": [{"manager": "kubectl", "time": "9999-12-31T23:59:59Z"}],
            },
            "spec": {"volumes": vec![json!({"name": "{[\\\""}); volumes]}, "status": {"phase": "ü"},
        })
    }

    fn kept(name: &str, volumes: usize) -> Value {
        let mut pod = pod(name, volumes);
        pod["metadata"] = json!({"name": name, "labels": {"a": "b"}});
        pod
    }

    #[test]
    fn each_object_of_a_list_and_of_a_watch_loses_what_nobody_reads() {
        let list =
            json!({"kind": "PodList", "items": [pod("a", 1), pod("b", 2)], "metadata": {"continue": "x"}});
        let expected =
            json!({"kind": "PodList", "items": [kept("a", 1), kept("b", 2)], "metadata": {"continue": "x"}});
        let event = |pod: &Value| format!(r#"{{"type":"ADDED","object":{pod}}}"#);
        for chunk in [1, 7, 10_000] {
            let list = passed(Shape::List, &list.to_string(), chunk).expect("a list");
            assert_eq!(serde_json::from_str::<Value>(&list).expect("JSON"), expected);
            let events = format!("{}\n{}\n", event(&pod("a", 1)), event(&pod("b", 0)));
            let events = passed(Shape::Watch, &events, chunk).expect("events");
            assert_eq!(events, format!("{}\n{}\n", event(&kept("a", 1)), event(&kept("b", 0))));
        }
    }

    #[test]
    fn an_object_that_is_too_large_is_replaced_by_its_name() {
        let large = pod("b", 20_000);
        let list = json!({"items": [pod("a", 1), large, pod("c", 0)]}).to_string();
        let list = passed(Shape::List, &list, 4096).expect("a list");
        let list: Value = serde_json::from_str(&list).expect("JSON");
        assert_eq!((&list["items"][0], &list["items"][2]), (&kept("a", 1), &kept("c", 0)));
        let bytes = list["items"][1]["tooLarge"].as_u64().expect("a number");
        assert!(bytes > 340_000);
        let stand_in =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}, "tooLarge": bytes});
        assert_eq!(list["items"][1], stand_in);
    }

    #[test]
    fn one_object_keeps_its_annotations_and_managers_and_is_refused_if_it_is_too_large() {
        let read = passed(Shape::Object, &pod("a", 1).to_string(), 10).expect("a pod");
        let mut expected = pod("a", 1);
        expected["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
        assert_eq!(serde_json::from_str::<Value>(&read).expect("JSON"), expected);
        let mut edited = pod("a", 1);
        edited["metadata"]["managedFields"] = json!([{"manager": "kubectl", "time": "2026-01-01T00:00:00Z"}]);
        let read = passed(Shape::Object, &edited.to_string(), 10).expect("a pod");
        assert_eq!(serde_json::from_str::<Value>(&read).expect("JSON"), edited);
        let refused = passed(Shape::Object, &pod("a", 20_000).to_string(), 4096).expect_err("too large");
        assert!(refused.to_string().starts_with("the object has 3"), "{refused}");
    }

    #[test]
    fn of_an_object_whose_status_was_written_only_that_is_passed_on() {
        let written = passed(Shape::Status, &pod("a", 20_000).to_string(), 4096).expect("a status");
        let expected =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": {"phase": "ü"}});
        assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), expected);
    }

    #[test]
    fn what_an_answer_holds_is_told_by_its_request() {
        let shape = |method: Method, uri: &str| {
            let request = Request::builder().method(method).uri(uri).body(Body::empty());
            Shape::of(&request.expect("a request"))
        };
        assert_eq!(shape(Method::GET, "/api/v1/pods?&limit=8&labelSelector=a"), Shape::List);
        assert_eq!(shape(Method::GET, "/api/v1/pods?&watch=true&resourceVersion=1"), Shape::Watch);
        assert_eq!(shape(Method::GET, "/apis/apps/v1/namespaces/a/deployments/b"), Shape::Object);
        assert_eq!(
            shape(Method::PATCH, "/apis/a/v1/namespaces/a/apps/status/status?&force=true"),
            Shape::Status
        );
        assert_eq!(
            shape(Method::PATCH, "/apis/apps/v1/namespaces/a/deployments/b?&force=true"),
            Shape::Object
        );
    }
}
