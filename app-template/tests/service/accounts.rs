//! Who buys.

use crate::postgres::{Reads, shared};
use crate::shop::stock;

#[test]
fn a_new_name_is_shown() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    let (account, _) = stock(&service, 0);
    let renamed = service.call("PUT", &format!("/accounts/{account}/name"), "", r#"{"name":"Ada L."}"#);
    assert_eq!((renamed.status, renamed.json()["name"].as_str()), (200, Some("Ada L.")));
    assert_eq!(service.connect().get(&format!("/accounts/{account}")).unwrap().json(), renamed.json());
}
