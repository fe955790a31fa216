//! A server of the S3 API that keeps its objects in a folder and checks each signature. I/O: sockets, files.

use std::fs;
use std::thread;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tower::ServiceExt;

/// Serves until the tests' process ends.
pub(crate) struct ObjectStore {
    pub(crate) url: String,
    folder: TempDir,
}

impl ObjectStore {
    /// Lets in the one user that it knows.
    pub(crate) fn start(user: &str, secret: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(user, secret));
        let service = service.build();
        let answer = |request: Request| async move {
            let answered = service.oneshot(request).await;
            answered.map(|answer| answer.map(Body::new)).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
        };
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            runtime.block_on(async { axum::serve(listener, Router::new().fallback(answer)).await })
        });
        Self { url, folder }
    }

    pub(crate) fn make_bucket(&self, name: &str) {
        fs::create_dir(self.folder.path().join(name)).unwrap();
    }

    /// The bytes of each object below `folder` of `bucket`.
    pub(crate) fn objects(&self, bucket: &str, folder: &str) -> Vec<Vec<u8>> {
        let objects = fs::read_dir(self.folder.path().join(bucket).join(folder)).unwrap();
        objects.map(|object| fs::read(object.unwrap().path()).unwrap()).collect()
    }
}
