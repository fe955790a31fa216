//! The HTTP client under the S3 API: the one that this program has, which speaks plain HTTP. I/O: HTTP.
//!
//! The one that comes with the object store would bring aws-lc into every HTTP client of the workspace.

use async_trait::async_trait;
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use reqwest::{Body, Client, Request};

use crate::http_client;

/// Makes clients for the object store.
#[derive(Debug)]
pub(super) struct PlainHttp;

impl HttpConnector for PlainHttp {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = http_client::builder()
            .build()
            .map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?;
        Ok(HttpClient::new(Plain(client)))
    }
}

#[derive(Debug)]
struct Plain(Client);

#[async_trait]
impl HttpService for Plain {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = Request::try_from(request.map(Body::wrap)).map_err(failed)?;
        let answer: http::Response<Body> = self.0.execute(request).await.map_err(failed)?.into();
        Ok(answer.map(|body| HttpResponseBody::new(body.map_err(failed))))
    }
}

fn failed(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else {
        HttpErrorKind::Request
    };
    HttpError::new(kind, error)
}
