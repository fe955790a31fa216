//! The base image, assembled from Debian packages without running any of their scripts. Runs apt-get and dpkg-deb.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::command::output;
use super::packages::apt_get;

/// Runtime dependencies of programs that are linked to Debian's C library.
pub(super) const PACKAGES: [&str; 6] =
    ["base-files", "netbase", "libc6", "libgcc-s1", "ca-certificates", "tzdata"];

/// Fills a folder with the base image's files.
pub(super) fn assemble(root: &Path) -> Result<()> {
    unpack_packages(root)?;
    remove_character_sets(root)?;
    write_certificates(root)?;
    write_accounts(root)
}

fn unpack_packages(root: &Path) -> Result<()> {
    let downloads = tempfile::tempdir()?;
    // apt downloads as its own user, who needs access to the folder.
    fs::set_permissions(downloads.path(), Permissions::from_mode(0o777))?;
    output(apt_get().arg("update"))?;
    output(apt_get().arg("download").args(PACKAGES).current_dir(downloads.path()))?;
    for package in fs::read_dir(downloads.path())? {
        output(Command::new("dpkg-deb").arg("--extract").arg(package?.path()).arg(root))?;
    }
    Ok(())
}

/// Half of the C library's size is for encodings that none of our programs uses.
fn remove_character_sets(root: &Path) -> Result<()> {
    for folder in fs::read_dir(root.join("usr/lib"))? {
        let converters = folder?.path().join("gconv");
        if converters.exists() {
            fs::remove_dir_all(converters)?;
        }
    }
    Ok(())
}

/// The bundle that the package's script would create: all certificates, one after the other.
fn write_certificates(root: &Path) -> Result<()> {
    let folder = root.join("usr/share/ca-certificates/mozilla");
    let mut files: Vec<_> =
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    let mut bundle = String::new();
    for file in files {
        bundle += &fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    }
    fs::create_dir_all(root.join("etc/ssl/certs"))?;
    Ok(fs::write(root.join("etc/ssl/certs/ca-certificates.crt"), bundle)?)
}

/// The accounts for a container's processes, and their host lookup.
pub(super) fn write_accounts(root: &Path) -> Result<()> {
    let passwd =
        "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n";
    fs::create_dir_all(root.join("etc"))?;
    fs::write(root.join("etc/passwd"), passwd)?;
    fs::write(root.join("etc/group"), "root:x:0:\nnonroot:x:65532:\n")?;
    fs::write(root.join("etc/nsswitch.conf"), "hosts: files dns\n")?;
    let home = root.join("home/nonroot");
    fs::create_dir_all(&home)?;
    Ok(std::os::unix::fs::chown(home, Some(65532), Some(65532))?)
}
