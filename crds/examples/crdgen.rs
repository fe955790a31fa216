//! Prints the CustomResourceDefinitions as the chart ships them.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let yaml = serde_saphyr::to_string(&scalableapp_crds::scalable_app_crd()).map_err(io::Error::other)?;
    io::stdout().write_all(yaml.as_bytes())
}
