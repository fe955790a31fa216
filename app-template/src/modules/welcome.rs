//! `GET /`: what this is. No I/O.

use crate::module::Module;

pub(super) fn routes(module: Module<()>) -> Module<()> {
    module.get("/", welcome)
}

async fn welcome() -> &'static str {
    "This is the reference service of ScalableApp: /work?ms=20 costs CPU time, /wait?ms=50 only waits.\n"
}
