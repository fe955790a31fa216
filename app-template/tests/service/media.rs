//! Pictures are in an object store, whichever pod is asked.

use std::thread;

use crate::child::Service;
use crate::client::Answer;
use crate::postgres::{Reads, shared};
use crate::provider::Provider;
use crate::shop::stock;

/// As much of a picture as the service looks at: WebP, because that begins with letters.
pub(crate) const PICTURE: &str = "RIFF\x0c\0\0\0WEBPVP8L";

fn upload(service: &Service, product: i64, content_type: &str, body: &str) -> Answer {
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
fn an_object_store_is_asked_by_signed_requests_of_the_s3_api() {
    let database = shared();
    let store = Provider::start();
    let environment = [
        ("MEDIA_URL", "s3://pictures/shop"),
        ("AWS_ENDPOINT", store.url.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "here"),
        ("AWS_ACCESS_KEY_ID", "the-user"),
        ("AWS_SECRET_ACCESS_KEY", "the-secret"),
    ];
    let service =
        Service::spawn(database.command(Reads::FromPrimary, &[]).envs(environment)).wait_until_ready();
    let (_, products) = stock(&service, 1);
    thread::scope(|scope| {
        let taken = scope.spawn(|| upload(&service, products[0], "image/webp", PICTURE));
        let put = store.next();
        assert!(put.line.starts_with("PUT /pictures/shop/"), "{}", put.line);
        assert!(put.headers["authorization"].starts_with("AWS4-HMAC-SHA256 Credential=the-user/"));
        assert_eq!(put.body, PICTURE);
        put.answer(200);
        let path = taken.join().unwrap().headers["location"].clone();

        let mut connection = service.connect();
        let shown = scope.spawn(move || connection.get(&path).unwrap());
        let get = store.next();
        assert!(get.line.starts_with("GET /pictures/shop/"), "{}", get.line);
        get.answer_with(200, PICTURE);
        assert_eq!(shown.join().unwrap().body, PICTURE);
    });
}
