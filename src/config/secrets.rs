//! `secrets`: which values a build may see without keeping them (specification §3). Names only: no value is ever read
//! here, and none enters a plan or a key.
//!
//! A configuration says which secret it wants; `hephy.yaml` says which ones images may have at all, so that a change
//! of one image directory cannot take a job's token into a build.

use serde::{Deserialize, Serialize};

use super::file::{self, File};
use super::node::{Node, NodeKind};
use super::rules;

/// A build secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// The name in `RUN --mount=type=secret,id=…`.
    pub id: String,
    /// Where its value is.
    #[serde(flatten)]
    pub source: SecretSource,
}

/// Where the value of a secret is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// In this variable of the build job.
    Env(String),
    /// In this file: absolute, or relative to the repository's root.
    File(String),
}

impl SecretSource {
    /// Text for people: `the variable X`, `the file X`.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Env(name) => format!("the variable {name}"),
            Self::File(path) => format!("the file {}", crate::diagnostic::escape_cut(path, 120)),
        }
    }
}

/// What `hephy.yaml` lets `secrets` name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AllowedSecrets {
    /// `secrets_env`.
    #[serde(rename = "secrets_env")]
    pub env: Vec<String>,
    /// `secrets_files`.
    #[serde(rename = "secrets_files")]
    pub files: Vec<String>,
}

impl AllowedSecrets {
    /// Whether images may have a secret from here.
    #[must_use]
    pub fn allows(&self, source: &SecretSource) -> bool {
        match source {
            SecretSource::Env(name) => self.env.contains(name),
            SecretSource::File(path) => self.files.contains(path),
        }
    }

    /// The line of `hephy.yaml` that would allow it.
    #[must_use]
    pub fn line_for(source: &SecretSource) -> String {
        match source {
            SecretSource::Env(name) => format!("secrets_env: [{name}]"),
            SecretSource::File(path) => format!("secrets_files: [{path}]"),
        }
    }
}

/// The lists of `hephy.yaml`.
pub(super) fn allowed(file: &File<'_>) -> AllowedSecrets {
    AllowedSecrets {
        env: file.list("secrets_env", rules::variable_name),
        files: file.list("secrets_files", rules::secret_file),
    }
}

/// How secrets are named, in lower case: [`names_a_secret`], and [`may_name_a_secret`].
const NAMES: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "private_key",
    "secret_key",
    "access_key",
    "credential",
    "credentials",
    "auth_config",
];

/// Words that name a secret at the end of a name, and may stand in others for something else: `GH_PAT`, and not `PATH`.
const LAST_WORDS: [&str; 2] = ["pat", "auth"];

/// Of [`NAMES`] those that are no end of another word: `DBPASSWORD`.
const ENDINGS: [&str; 3] = ["password", "passwd", "passphrase"];

/// Whether a name ends like a secret's: `NPM_TOKEN` and `DBPASSWORD`, and neither `TOKENIZER` nor `TOKEN_URL`.
#[must_use]
pub(crate) fn names_a_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let is_last = |word: &&str| name.strip_suffix(*word).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    ENDINGS.iter().any(|word| name.ends_with(word)) || NAMES.iter().chain(&LAST_WORDS).any(is_last)
}

/// Whether a secret's name is anywhere in this one. For who must rather take one too many for a secret.
#[must_use]
pub(crate) fn may_name_a_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    NAMES.iter().any(|word| name.contains(word))
}

/// The secrets of an image: each has an id of its own and one place, which `hephy.yaml` allows.
pub(super) fn secrets(file: &mut File<'_>, allowed: &AllowedSecrets) -> Vec<Secret> {
    let Some(Node { kind: NodeKind::Seq(nodes), .. }) = file.get("secrets").map(|entry| entry.value.clone()) else {
        return Vec::new();
    };
    let mut secrets: Vec<Secret> = Vec::new();
    for node in nodes.iter().take(super::fields::MAX_ENTRIES) {
        let NodeKind::Map(entries) = &node.kind else { continue };
        let given = |name: &str| entries.iter().any(|entry| &*entry.key == name);
        let misspelt = entries.iter().any(|entry| !["id", "env", "file"].contains(&&*entry.key));
        let env = file::text(entries, "env", rules::variable_name).map(SecretSource::Env);
        let path = file::text(entries, "file", rules::secret_file).map(SecretSource::File);
        match (given("env"), given("file")) {
            (true, true) => file.error(node.span, "a secret has both `env` and `file`", "its value is in one place"),
            (false, false) if !misspelt => {
                file.error(node.span, "a secret has no value", "name it with `env: VARIABLE` or `file: path`");
            }
            _ => {}
        }
        if !given("id") && !misspelt {
            file.error(node.span, "a secret has no `id`", "it is the name in `RUN --mount=type=secret,id=…`");
        }
        let id = file::text(entries, "id", rules::secret_id);
        let (Some(id), Some(source)) = (id, env.or(path)) else { continue };
        if secrets.iter().any(|known| known.id == id) {
            file.error(node.span, format!("the secret `{id}` is given twice"), "");
            continue;
        }
        if !allowed.allows(&source) {
            let message = format!("hephy.yaml does not let builds see {}", source.text());
            let note = format!(
                "to allow it for all images of this repository, add `{}` to hephy.yaml",
                AllowedSecrets::line_for(&source)
            );
            file.error(node.span, message, &note);
        }
        secrets.push(Secret { id, source });
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RootConfig, parse_image, parse_root};

    fn root(text: &str) -> RootConfig {
        parse_root("hephy.yaml", text.as_bytes()).value.unwrap()
    }

    fn findings(root: &RootConfig, secrets: &str) -> Vec<String> {
        let text = format!("use_local_context: true\nsecrets: {secrets}\n");
        let parsed = parse_image("f", text.as_bytes(), root);
        parsed.findings.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn what_hephy_yaml_allows_can_be_had() {
        let root = root("secrets_env: [NPM_TOKEN]\nsecrets_files: [/run/secrets/key, .npmrc]\n");
        let text = "use_local_context: true\nsecrets: [{id: npm, env: NPM_TOKEN}, {id: key, file: /run/secrets/key}, {id: rc, file: .npmrc}]\n";
        let parsed = parse_image("f", text.as_bytes(), &root);
        let secrets = parsed.value.unwrap().secrets;
        assert_eq!(secrets[0], Secret { id: "npm".into(), source: SecretSource::Env("NPM_TOKEN".into()) });
        assert_eq!(secrets[2], Secret { id: "rc".into(), source: SecretSource::File(".npmrc".into()) });
        assert_eq!(
            serde_json::to_value(&secrets[..2]).unwrap(),
            serde_json::json!([{"id": "npm", "env": "NPM_TOKEN"}, {"id": "key", "file": "/run/secrets/key"}])
        );
    }

    #[test]
    fn a_change_of_one_image_takes_no_token_into_a_build() {
        for source in
            ["env: CI_JOB_TOKEN", "file: /kaniko/.docker/config.json", "file: /proc/self/environ", "file: .env"]
        {
            let found = findings(&RootConfig::default(), &format!("[{{id: a, {source}}}]"));
            assert!(found[0].starts_with("hephy.yaml does not let builds see the "), "{source}: {found:?}");
        }
        let found = findings(&root("secrets_env: [CI_JOB_TOKEN]"), "[{id: a, file: CI_JOB_TOKEN}]");
        assert_eq!(found, ["hephy.yaml does not let builds see the file CI_JOB_TOKEN"]);
    }

    #[test]
    fn names_of_secrets_end_like_one() {
        for name in ["PASSWORD", "DBPASSWORD", "npm_token", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "STRIPE_API_KEY"] {
            assert!(names_a_secret(name) && may_name_a_secret(name), "{name}");
        }
        for name in ["TOKENIZER", "TOKEN_URL", "PASSWORD_FILE", "SECRETARY", "XTOKEN"] {
            assert!(!names_a_secret(name) && may_name_a_secret(name), "{name}");
        }
        for name in ["GH_PAT", "GITHUB_AUTH"] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["KEY", "PUBLIC_KEY", "CURL_TAG", "PATH", "COMPAT", "OAUTH"] {
            assert!(!names_a_secret(name) && !may_name_a_secret(name), "{name}");
        }
    }

    #[test]
    fn a_secret_has_one_id_and_one_place() {
        let root = root("secrets_env: [A, B]\nsecrets_files: [a]\n");
        for (secrets, message) in [
            ("[{id: a, env: A, file: a}]", "a secret has both `env` and `file`"),
            ("[{id: a}]", "a secret has no value"),
            ("[{env: A}]", "a secret has no `id`"),
            ("[{id: a, env: A}, {id: a, env: B}]", "the secret `a` is given twice"),
            ("[{id: 'a,src=/etc/shadow', env: A}]", "`secrets[0].id` is not the id of a secret"),
            ("[{id: a, file: 'a,env=B'}]", "`secrets[0].file` is not the path of a secret"),
            ("[{id: a, file: ../a}]", "`secrets[0].file` is not the path of a secret"),
            ("[{id: a, file: -a}]", "`secrets[0].file` is not the path of a secret"),
        ] {
            assert_eq!(findings(&root, secrets)[0], message, "{secrets}");
        }
    }
}
