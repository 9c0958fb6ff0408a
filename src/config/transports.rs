//! The ways in which other repositories may be reached: git's own rule, for everything here that speaks to one.

/// Transports by name. By default https and ssh; `GIT_ALLOW_PROTOCOL`, where it is set, is the whole list (git(1)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transports(Vec<String>);

/// Transports of git that start what the address says: no list allows them here, where addresses are untrusted.
const NEVER: [&str; 2] = ["ext", "fd"];

impl Default for Transports {
    fn default() -> Self {
        Self(["https", "ssh"].map(str::to_owned).to_vec())
    }
}

impl Transports {
    /// Those that the variable's value lists; the default where it is not set. An empty list allows none.
    #[must_use]
    pub fn of_variable(git_allow_protocol: Option<&str>) -> Self {
        let Some(list) = git_allow_protocol else { return Self::default() };
        Self(list.split(':').filter(|name| !name.is_empty() && !NEVER.contains(name)).map(str::to_owned).collect())
    }

    /// The names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// As git reads them from `GIT_ALLOW_PROTOCOL`.
    #[must_use]
    pub fn variable(&self) -> String {
        self.0.join(":")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_the_whole_list() {
        let variable = |value| Transports::of_variable(value).variable();
        assert_eq!(variable(None), "https:ssh");
        assert_eq!(variable(Some("file")), "file");
        assert_eq!(variable(Some("https::file:")), "https:file");
        assert_eq!(variable(Some("")), "");
        assert_eq!(variable(Some("ext:fd:ssh")), "ssh");
        assert_eq!(variable(Some("FILE")), "FILE", "git compares names as they are written");
    }
}
