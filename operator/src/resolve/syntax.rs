//! Kubernetes' syntax of names, keys and labels. Pure.
//!
//! An API server refuses invalid ones with a regular expression and the path of a child's field.

use super::invalid::Problems;
use super::path::Path;

/// A rule for a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// The key of a label, and other names with an optional domain before a slash.
    QualifiedName,
    /// The same, but for the domain, which may have capital letters.
    AnnotationKey,
    LabelValue,
    /// A DNS-1123 label.
    DnsLabel,
    /// A DNS-1123 subdomain, as most objects are named.
    DnsSubdomain,
    EnvName,
    /// A key of a ConfigMap or Secret.
    DataKey,
    PortName,
    /// The name of a container's resource.
    ResourceName,
}

/// The most characters of the name after an optional domain, and of a DNS label.
const LONGEST_LABEL: usize = 63;

/// The most characters of a domain, and of a key in a ConfigMap.
const LONGEST_DOMAIN: usize = 253;

impl Syntax {
    pub(super) fn check(self, text: &str, path: Path<'_>, problems: &mut Problems) {
        if !self.admits(text) {
            problems.refuse(path, self.sentence());
        }
    }

    pub(super) fn admits(self, text: &str) -> bool {
        match self {
            Self::QualifiedName => is_qualified(text),
            Self::AnnotationKey => is_qualified(&text.to_lowercase()),
            Self::LabelValue => text.is_empty() || is_label_text(text),
            Self::DnsLabel => text.len() <= LONGEST_LABEL && is_dns_label(text),
            Self::DnsSubdomain => is_domain(text),
            Self::EnvName => {
                !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
            }
            Self::DataKey => {
                let is_key = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
                (1..=LONGEST_DOMAIN).contains(&text.len())
                    && text.chars().all(is_key)
                    && text != "."
                    && !text.starts_with("..")
            }
            Self::PortName => {
                text.len() <= 15
                    && is_dns_label(text)
                    && !text.contains("--")
                    && text.contains(|c: char| c.is_ascii_lowercase())
            }
            Self::ResourceName => {
                ["cpu", "memory", "ephemeral-storage"].contains(&text)
                    || text.starts_with("hugepages-")
                    || text.contains('/') && is_qualified(text)
            }
        }
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::QualifiedName | Self::AnnotationKey => {
                "write it as team or example.com/team: at most 63 letters, digits, hyphens, underscores and dots, with a letter or digit at both ends, after an optional domain and slash"
            }
            Self::LabelValue => {
                "use at most 63 letters, digits, hyphens, underscores and dots, with a letter or digit at both ends"
            }
            Self::DnsLabel => {
                "use at most 63 lower case letters, digits and hyphens, with a letter or digit at both ends"
            }
            Self::DnsSubdomain => {
                "use at most 253 lower case letters, digits, hyphens and dots, with a letter or digit at both ends and beside each dot"
            }
            Self::EnvName => "give the variable a name of printable ASCII characters without \"=\"",
            Self::DataKey => {
                "use at most 253 letters, digits, hyphens, underscores and dots, as in config.yaml, and not two dots at the start"
            }
            Self::PortName => {
                "use at most 15 lower case letters, digits and single hyphens, with a letter among them and no hyphen at either end"
            }
            Self::ResourceName => {
                "use cpu, memory, ephemeral-storage, hugepages-SIZE or a name with a domain, such as example.com/gpu"
            }
        }
    }
}

fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_domain(domain) && is_label_text(name),
        None => is_label_text(text),
    }
}

/// Whether it has a letter or digit at both ends, and only characters that `is_inner` allows between them.
fn is_framed(text: &str, is_end: fn(u8) -> bool, is_inner: fn(u8) -> bool) -> bool {
    let ends = [text.bytes().next(), text.bytes().next_back()];
    ends.iter().all(|end| end.is_some_and(is_end)) && text.bytes().all(|byte| is_end(byte) || is_inner(byte))
}

fn is_label_text(text: &str) -> bool {
    text.len() <= LONGEST_LABEL
        && is_framed(text, |byte| byte.is_ascii_alphanumeric(), |byte| b"-_.".contains(&byte))
}

fn is_dns_label(text: &str) -> bool {
    is_framed(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(), |byte| byte == b'-')
}

fn is_domain(text: &str) -> bool {
    text.len() <= LONGEST_DOMAIN && text.split('.').all(is_dns_label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Syntax::QualifiedName, &["team", "a", "A.b_c-1", "example.com/team", "a/B"])]
    #[case(Syntax::AnnotationKey, &["team", "Example.com/team"])]
    #[case(Syntax::LabelValue, &["", "ssd", "v1.2_3-a", "A"])]
    #[case(Syntax::DnsLabel, &["proxy", "0a", "a-1"])]
    #[case(Syntax::DnsSubdomain, &["settings", "a.b-c.d", "0"])]
    #[case(Syntax::EnvName, &["LOG_LEVEL", "a.b-c", "1A", "with space"])]
    #[case(Syntax::DataKey, &["config.yaml", ".hidden", "A_b-c", "a.."])]
    #[case(Syntax::PortName, &["http", "a", "0-a", "fifteen-letters"])]
    #[case(Syntax::ResourceName, &["cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "example.com/gpu"])]
    fn what_kubernetes_takes_passes(#[case] syntax: Syntax, #[case] texts: &[&str]) {
        for text in texts {
            assert!(syntax.admits(text), "{text}");
        }
    }

    #[rstest]
    #[case(Syntax::QualifiedName, &["", "a b", "-a", "a-", "/a", "a/", "a/b/c", "Example.com/a", "ä", "a\n", "a..b/c"])]
    #[case(Syntax::AnnotationKey, &["", "a b", "a/b/c", "a_b/c"])]
    #[case(Syntax::LabelValue, &["a b", "-a", "a.", "ä", "a/b", " "])]
    #[case(Syntax::DnsLabel, &["", "My-Proxy", "a_b", "-a", "a-", "a.b", "ä"])]
    #[case(Syntax::DnsSubdomain, &["", "Settings", "a_b", "a..b", ".a", "a.", "-a", "a.-b"])]
    #[case(Syntax::EnvName, &["", "A=B", "A\n", "Ä"])]
    #[case(Syntax::DataKey, &["", ".", "..", "..a", "a/b", "a b"])]
    #[case(Syntax::PortName, &["", "80", "a--b", "HTTP", "sixteen-letters-", "-a", "sixteen-letters0"])]
    #[case(Syntax::ResourceName, &["", "disk", "CPU", "example.com/", "gpu"])]
    fn what_kubernetes_refuses_is_refused(#[case] syntax: Syntax, #[case] texts: &[&str]) {
        for text in texts {
            assert!(!syntax.admits(text), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        for (syntax, most) in [
            (Syntax::QualifiedName, 63),
            (Syntax::AnnotationKey, 63),
            (Syntax::LabelValue, 63),
            (Syntax::DnsLabel, 63),
            (Syntax::DnsSubdomain, 253),
            (Syntax::DataKey, 253),
            (Syntax::PortName, 15),
        ] {
            assert!(syntax.admits(&"a".repeat(most)), "{syntax:?}");
            assert!(!syntax.admits(&"a".repeat(most + 1)), "{syntax:?}");
        }
    }
}
