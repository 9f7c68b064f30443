//! The stand-in for the Kubernetes API server as a program, for a host of the lab.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use twill_tests::apiserver::{Options, Tls, User, run};

#[derive(Parser)]
struct Arguments {
    /// Where it serves the API
    #[arg(long)]
    listen: SocketAddr,
    /// Serves over TLS, and writes the certificate of its authority here
    #[arg(long, value_name = "FILE", requires = "names")]
    tls_authority: Option<PathBuf>,
    /// A name or address that its certificate is for
    #[arg(long = "tls-name")]
    names: Vec<String>,
    /// The Unix socket that steers it
    #[arg(long)]
    control: Option<PathBuf>,
    /// TOKEN=admin, or TOKEN=NAMESPACE/SERVICEACCOUNT; given once, RBAC holds
    #[arg(long = "token")]
    tokens: Vec<String>,
}

fn token(text: &str) -> Result<(String, User)> {
    let (token, user) = text.split_once('=').context("a token is TOKEN=USER")?;
    let user = match user.split_once('/') {
        Some((namespace, name)) => User::service_account(namespace, name),
        None if user == "admin" => User::administrator(),
        None => anyhow::bail!("{user:?} is neither `admin` nor NAMESPACE/SERVICEACCOUNT"),
    };
    Ok((token.to_owned(), user))
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let tokens = arguments.tokens.iter().map(|text| token(text)).collect::<Result<_>>()?;
    let tls = arguments.tls_authority.map(|authority| Tls { names: arguments.names, authority });
    let options = Options { address: arguments.listen, tls, control: arguments.control, tokens };
    run(&options).context("the server ended")
}
