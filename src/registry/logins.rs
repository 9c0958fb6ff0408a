//! Logins for a builder in a container of its own, which has neither this machine's helpers nor its files.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Client;
use super::credentials::{Credential, find};
use super::docker_config::base64;
use crate::error::Result;
use crate::oci::is_ecr;

impl Client {
    /// The text of a `config.json` that signs in to these hosts, and to no other, without any helper of this machine;
    /// none where nobody signs in. ECR's helper, which Kaniko's image has, stays where nothing better is found.
    ///
    /// # Errors
    /// When the login of the registry that is published to cannot be had. Other hosts may well be read without one.
    pub async fn logins(&self, hosts: &BTreeSet<String>) -> Result<Option<String>> {
        let (mut auths, mut helpers) = (Map::new(), Map::new());
        for host in hosts.iter().filter(|_| !self.settings.without_credentials) {
            let found = match find(&self.settings, host).await {
                Ok(found) => found.credential,
                Err(error) if self.settings.registry_host.as_ref() == Some(host) && !is_ecr(host) => return Err(error),
                Err(_) => Credential::Anonymous,
            };
            // Docker Hub is known by an address of its own.
            let server = if host == "index.docker.io" { "https://index.docker.io/v1/" } else { host };
            let login = match found {
                Credential::Basic(user, password) => {
                    json!({ "auth": base64(format!("{user}:{password}").as_bytes()) })
                }
                Credential::Identity(token) => json!({ "identitytoken": token }),
                Credential::Anonymous => {
                    if is_ecr(host) {
                        helpers.insert(host.clone(), "ecr-login".into());
                    }
                    continue;
                }
            };
            auths.insert(server.to_owned(), login);
        }
        let sections = [("auths", auths), ("credHelpers", helpers)].into_iter().filter(|(_, map)| !map.is_empty());
        let config: Map<String, Value> = sections.map(|(name, map)| (name.to_owned(), Value::Object(map))).collect();
        Ok((!config.is_empty()).then(|| Value::Object(config).to_string()))
    }
}
