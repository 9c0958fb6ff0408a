//! `hephy graph`: which image is built on which.

use super::planning::graph_of;
use super::session::Session;
use crate::cli::{GraphArgs, GraphForm};
use crate::error::{Error, Result};
use crate::plan::draw::{self, DrawnEdge, DrawnImage};
use crate::plan::graph::waves;

/// Runs the command.
///
/// # Errors
/// When the repository cannot be read, or images are built on each other in a circle.
pub fn run(session: &Session, args: &GraphArgs) -> Result<()> {
    let survey = graph_of(session, &session.select()?)?;
    let order = survey.order.as_deref().unwrap_or_default();
    let waves = waves(&survey.edges, order);
    let images: Vec<DrawnImage> = survey
        .images
        .iter()
        .enumerate()
        .map(|(index, image)| DrawnImage {
            name: image.name.to_string(),
            dir: image.dir.clone(),
            dockerfile: image.dockerfile.as_ref().map(|(path, _)| path.clone()),
            platforms: image.config().map(|config| config.platforms.clone()).unwrap_or_default(),
            wave: waves[index],
            built_on: survey.uses[index]
                .edges
                .iter()
                .map(|edge| DrawnEdge {
                    name: survey.images[edge.to].name.to_string(),
                    to: edge.to,
                    via: edge.via.clone(),
                    platforms: edge.platforms.clone(),
                })
                .collect(),
        })
        .collect();
    let problems: Vec<_> = survey.uses.iter().flat_map(|uses| uses.problems.iter().cloned()).collect();
    if !problems.is_empty() {
        return Err(Error::config("some references cannot be resolved").diagnostics(problems));
    }
    if session.report.is_json() || args.form == GraphForm::Json {
        let document = serde_json::json!({ "images": images });
        return session.report.document(&document);
    }
    session.report.text(&match args.form {
        GraphForm::Dot => draw::dot(&images),
        GraphForm::Mermaid => draw::mermaid(&images),
        _ => draw::text(&images),
    })
}
