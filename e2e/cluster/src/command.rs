//! Runs a program to its end and turns a failure into a sentence with program and reason.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The standard output of a program that must succeed.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let result = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {program}: is it installed?"))?;
    if !result.status.success() {
        let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        bail!("failed to run '{program} {}': {}", arguments.join(" "), last_lines(&result.stderr));
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

/// The end of a program's output, where the reason of a failure is.
fn last_lines(output: &[u8]) -> String {
    const LINES: usize = 12;
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_program_and_quotes_its_last_words() {
        let error = output(Command::new("sh").args(["-c", "echo no such bridge >&2; exit 3"])).unwrap_err();
        assert!(
            error.to_string().contains("sh -c") && error.to_string().ends_with("no such bridge"),
            "{error}"
        );
        let error = output(&mut Command::new("/nonexistent/program")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/program"), "{error}");
    }
}
