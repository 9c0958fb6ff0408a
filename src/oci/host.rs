//! What the name of a registry's host says about it, port included.

/// Whether a host is this machine, which everybody takes for plain HTTP: `localhost`, `127.0.0.0/8`, `[::1]`, with any
/// port.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let name = without_port(host);
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A host without the port that it may have: `[::1]:5000` is `[::1]`, and `::1` has none.
#[must_use]
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// Whether a host is a private Amazon ECR registry: `<12 digits>.dkr.ecr.<region>.amazonaws.com[.cn]`, its FIPS
/// and dual-stack spellings included.
#[must_use]
pub fn is_ecr(host: &str) -> bool {
    let parts: Vec<&str> = host.split('.').collect();
    let account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let region = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    match parts.as_slice() {
        [id, "dkr", "ecr" | "ecr-fips", place, "amazonaws", "com"]
        | [id, "dkr", "ecr" | "ecr-fips", place, "amazonaws", "com", "cn"]
        | [id, "dkr-ecr" | "dkr-ecr-fips", place, "on", "aws"] => account(id) && region(place),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_and_nothing_that_only_looks_like_it() {
        for host in ["localhost", "LOCALHOST:5000", "127.0.0.1", "127.9.9.9:1", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.evil.com", "127.0.0.1.nip.io:80", "128.0.0.1", "10.0.0.1:5000", "[::2]", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_port_is_what_stands_behind_a_whole_host() {
        let without = ["a.b:5000", "a.b", "[::1]:5000", "[::1]", "::1", "a.b:x"].map(without_port);
        assert_eq!(without, ["a.b", "a.b", "[::1]", "[::1]", "::1", "a.b:x"]);
    }

    #[test]
    fn amazons_spellings_and_nobody_elses() {
        for host in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "123456789012.dkr-ecr.eu-west-1.on.aws",
        ] {
            assert!(is_ecr(host), "{host}");
        }
        for host in ["x.dkr.ecr.evil.s3.amazonaws.com", "123456789012.dkr.ecr.evil.s3.amazonaws.com", "ecr.aws", ""] {
            assert!(!is_ecr(host), "{host}");
        }
    }
}
