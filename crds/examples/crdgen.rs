//! Prints the CustomResourceDefinitions as the chart ships them.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    for crd in scalableapp_crds::crds() {
        let yaml = serde_saphyr::to_string(&crd).map_err(io::Error::other)?;
        write!(io::stdout(), "---\n{yaml}")?;
    }
    Ok(())
}
