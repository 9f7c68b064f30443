//! The archive: blobs by digest, an index, a manifest, a configuration, one layer.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// When everything was made: the same programs give the same image.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// What the image is made of.
pub(super) struct Image {
    /// Name and tag.
    pub(super) name: String,
    /// As images name it.
    pub(super) architecture: &'static str,
    /// Path without a leading slash, and content; each may be executed.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// The image, written.
pub(super) struct Archive {
    /// The tar file.
    pub(super) content: Vec<u8>,
    /// Octets of the layer, unpacked.
    pub(super) unpacked: usize,
    /// Octets of the layer, as it is stored and pulled.
    pub(super) packed: usize,
}

impl Archive {
    pub(super) fn of(image: &Image) -> Result<Archive> {
        let layer = layer(&image.files)?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&layer)?;
        let packed = gzip.finish()?;
        let config = config(image, &digest(&layer)).to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": [descriptor(LAYER, &packed)],
        });
        let manifest = manifest.to_string().into_bytes();
        let mut described = descriptor(MANIFEST, &manifest);
        let tag = image.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        described["annotations"] = json!({
            // containerd takes the name from the first, older tools from the second.
            "io.containerd.image.name": full_name(&image.name),
            "org.opencontainers.image.ref.name": tag,
        });
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                           "manifests": [described]});
        let docker = json!([{"Config": blob(&config), "RepoTags": [image.name],
                             "Layers": [blob(&packed)]}]);

        let mut tar = Builder::new(Vec::new());
        for folder in ["blobs/", "blobs/sha256/"] {
            add(&mut tar, folder, EntryType::Directory, 0o755, &[])?;
        }
        for content in [&config, &manifest, &packed] {
            add(&mut tar, &blob(content), EntryType::Regular, 0o644, content)?;
        }
        let texts = [
            ("index.json", index),
            ("manifest.json", docker),
            ("oci-layout", json!({"imageLayoutVersion": "1.0.0"})),
        ];
        for (name, value) in texts {
            add(&mut tar, name, EntryType::Regular, 0o644, value.to_string().as_bytes())?;
        }
        Ok(Archive { content: tar.into_inner()?, unpacked: layer.len(), packed: packed.len() })
    }
}

/// The image's file system.
fn layer(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    let mut folders: Vec<&str> = Vec::new();
    for (path, content) in files {
        if let Some((folder, _)) = path.rsplit_once('/')
            && !folders.contains(&folder)
        {
            folders.push(folder);
            add(&mut tar, &format!("{folder}/"), EntryType::Directory, 0o755, &[])?;
        }
        add(&mut tar, path, EntryType::Regular, 0o755, content)?;
    }
    Ok(tar.into_inner()?)
}

fn add(
    tar: &mut Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    content: &[u8],
) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len().try_into()?);
    Ok(tar.append_data(&mut header, path, content)?)
}

/// How containers of the image are run, unless told otherwise.
fn config(image: &Image, layer: &str) -> Value {
    json!({
        "created": CREATED, "architecture": image.architecture, "os": "linux",
        "config": {
            "Env": ["PATH=/bin"], "Entrypoint": ["/bin/twill"], "Cmd": ["agent"],
            "Labels": {
                "org.opencontainers.image.title": "twill",
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
                "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created": CREATED, "created_by": "cargo xtask image"}],
    })
}

fn descriptor(media: &str, content: &[u8]) -> Value {
    json!({"mediaType": media, "digest": digest(content), "size": content.len()})
}

/// Where a blob is in the archive.
fn blob(content: &[u8]) -> String {
    format!("blobs/{}", digest(content).replace(':', "/"))
}

fn digest(content: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(content) {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// As docker spells out a short name.
fn full_name(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;

    fn image() -> Image {
        let files = ["twill", "twill-cni"].map(|name| (format!("bin/{name}"), name.into()));
        Image { name: "twill:1".to_owned(), architecture: "amd64", files: files.into() }
    }

    /// Path to mode and content.
    fn unpack(tar: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(tar);
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(path, (entry.header().mode().unwrap(), content));
        }
        files
    }

    #[test]
    fn every_reference_leads_to_a_blob_of_that_digest_and_size() {
        let files = unpack(&Archive::of(&image()).unwrap().content);
        let read = |path: &str| -> Value { serde_json::from_slice(&files[path].1).unwrap() };
        let follow = |descriptor: &Value| -> Vec<u8> {
            let digest_of = descriptor["digest"].as_str().unwrap();
            let content = files[&format!("blobs/{}", digest_of.replace(':', "/"))].1.clone();
            assert_eq!(digest(&content), digest_of);
            assert_eq!(descriptor["size"], content.len());
            content
        };
        assert_eq!(read("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
        let described = &read("index.json")["manifests"][0];
        assert_eq!(
            described["annotations"]["io.containerd.image.name"],
            "docker.io/library/twill:1"
        );
        let manifest: Value = serde_json::from_slice(&follow(described)).unwrap();
        let config: Value = serde_json::from_slice(&follow(&manifest["config"])).unwrap();
        let packed = follow(&manifest["layers"][0]);
        let mut layer = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&layer)]));
        let programs = unpack(&layer);
        assert_eq!(programs["bin/twill"], (0o755, b"twill".to_vec()));
        assert_eq!(programs["bin/twill-cni"], (0o755, b"twill-cni".to_vec()));
        // Docker's own table of contents names the same blobs.
        let docker = &read("manifest.json")[0];
        assert_eq!(docker["RepoTags"], json!(["twill:1"]));
        assert_eq!(files[docker["Layers"][0].as_str().unwrap()].1, packed);
        let same: Value =
            serde_json::from_slice(&files[docker["Config"].as_str().unwrap()].1).unwrap();
        assert_eq!(same, config);
    }

    #[test]
    fn the_same_programs_give_the_same_octets() {
        assert_eq!(Archive::of(&image()).unwrap().content, Archive::of(&image()).unwrap().content);
    }

    #[test]
    fn names_are_spelled_out_as_docker_does() {
        for (short, full) in [
            ("twill:1", "docker.io/library/twill:1"),
            ("me/twill:1", "docker.io/me/twill:1"),
            ("registry.example:5000/twill:1", "registry.example:5000/twill:1"),
        ] {
            assert_eq!(full_name(short), full);
        }
    }
}
