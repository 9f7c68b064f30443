//! `twill doctor`: what on this host keeps packets or sessions from their way.

use std::path::PathBuf;

use hyper::Method;
use serde::Serialize;

use super::client::{self, Client, ClientError, block_on};
use super::output::{Format, Paint, Screen, print, structured, wrap};
use super::{Exit, human};
use crate::config::DEFAULT_FILE;
use crate::control::api;
use crate::doctor::{self, CHECKS, Finding, Known, Severity};

/// Arguments of `twill doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to write.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// The configuration that the host is held against; the defaults where there is none.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the container runtime looks for networks, where no configuration says so.
    #[arg(long, value_name = "DIR", default_value = "/etc/cni/net.d")]
    cni_dir: PathBuf,
    #[command(flatten)]
    agent: client::Agent,
}

/// What is written for scripts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// An agent answers.
    pub(super) agent: bool,
    /// No problem was found.
    pub(super) healthy: bool,
    /// The worst first.
    pub(super) findings: Vec<Finding>,
    /// What could not be looked at.
    pub(super) unseen: Vec<String>,
}

pub(super) fn run(args: &Args) -> Exit {
    block_on(async {
        let agent = match sessions(&args.agent).await {
            Ok(agent) => Some(agent),
            // A doctor is called also where there is no agent.
            Err(ClientError::Unreachable { .. }) => None,
            Err(error) => return error.end(),
        };
        let facts = doctor::gather(&doctor::Options {
            config: args.config.clone().unwrap_or_else(|| DEFAULT_FILE.into()),
            config_named: args.config.is_some(),
            cni_dir: args.cni_dir.clone(),
            agent,
        })
        .await;
        let findings = doctor::findings(&facts);
        let healthy = findings.iter().all(|finding| finding.severity == Severity::Doubt);
        let report = Report { agent: facts.agent, healthy, findings, unseen: facts.unseen };
        print(&match args.output {
            Format::Table | Format::Wide => render(&report, &Screen::new(args.output)),
            format => structured(&report, format, false),
        });
        if healthy { Exit::Yes } else { Exit::No }
    })
}

async fn sessions(agent: &client::Agent) -> Result<(Known<u32>, Vec<doctor::Peer>), ClientError> {
    let mut client = Client::connect(agent).await?;
    let list: Vec<api::Peer> = client.document(Method::GET, "/v1/peers", Vec::new()).await?;
    let mut peers = Vec::new();
    for short in list {
        // What is up needs no doctor.
        if short.state == api::State::Established {
            peers.push(doctor::peer(&short));
            continue;
        }
        let uri = format!("/v1/peers/{}", client::escape(&short.name));
        match client.document::<api::Peer>(Method::GET, &uri, Vec::new()).await {
            Ok(whole) => peers.push(doctor::peer(&whole)),
            // It has gone meanwhile.
            Err(ClientError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((client.server_process(), peers))
}

pub(super) fn render(report: &Report, screen: &Screen) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let (sign, paint) = match finding.severity {
            Severity::Problem => ("✗", Paint::Bad),
            Severity::Doubt => ("!", Paint::Doubtful),
        };
        let check = Paint::Title.on(finding.check, screen);
        let what = wrap(&finding.what, screen.width, 4);
        out.push_str(&format!("{} {check}\n    {what}\n", paint.on(sign, screen)));
        for (name, text) in [("seen", &finding.evidence), ("remedy", &finding.remedy)] {
            let name = Paint::Dim.on(&format!("{name:<6}"), screen);
            out.push_str(&format!("    {name} {}\n", wrap(text, screen.width, 11)));
        }
        out.push('\n');
    }
    let quiet =
        CHECKS.iter().filter(|check| !report.findings.iter().any(|one| one.check == **check));
    let quiet: Vec<&str> = quiet.copied().collect();
    let good = Paint::Good.on("✓", screen);
    let nothing = format!("nothing found by: {}", quiet.join(", "));
    out.push_str(&format!("{good} {}\n", wrap(&nothing, screen.width, 2)));
    let agent = if report.agent {
        "an agent runs"
    } else {
        "no agent answers: what it sets itself is not expected yet"
    };
    out.push_str(&format!("{} {}\n", Paint::Dim.on("·", screen), wrap(agent, screen.width, 2)));
    for unseen in &report.unseen {
        let text = format!("not looked at: {unseen}");
        out.push_str(&format!(
            "{} {}\n",
            Paint::Doubtful.on("!", screen),
            wrap(&text, screen.width, 2)
        ));
    }
    let problems = report.findings.iter().filter(|one| one.severity == Severity::Problem).count();
    let doubts = report.findings.len() - problems;
    out.push_str(&format!(
        "\n{}, {}\n",
        human::count(problems, "problem", "problems"),
        human::count(doubts, "doubt", "doubts")
    ));
    out
}
