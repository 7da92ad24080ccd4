//! Where schemas of formats come from: files below one folder, or the text itself.
//!
//! `format_schema` names a file and a message (`file:Message`); nothing outside of the folder is opened,
//! neither by `..` nor by a link. With `format_schema_source = 'string'` it is the schema's text.

use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use pumphouse_query::context::Settings;
use pumphouse_query::error::{Error, Result, codes};

/// Most bytes of a schema's file.
const FILE_BYTES_MAX: u64 = 4 << 20;

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Says where schemas lie; the first call counts.
pub fn set_folder(folder: &Path) {
    let _ = FOLDER.set(folder.to_path_buf());
}

/// What `format_schema` and its companions say.
#[derive(Debug, PartialEq, Eq)]
pub struct SchemaSource {
    pub place: Place,
    /// The message; empty if none is named.
    pub message: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    File(String),
    Text(String),
}

/// None: no schema is set.
pub fn of_settings(settings: &Settings) -> Result<Option<SchemaSource>> {
    let text = settings.get("format_schema").unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    let named = settings.get("format_schema_message_name").unwrap_or_default();
    let (place, message) = match settings.get("format_schema_source").unwrap_or("file") {
        "file" => match text.rsplit_once(':') {
            Some((_, message)) if !named.is_empty() && !message.is_empty() => {
                return Err(bad(
                    "format_schema names a message, and format_schema_message_name too",
                ));
            }
            Some((file, message)) => (Place::File(file.into()), message.to_string()),
            None => (Place::File(text.into()), named.to_string()),
        },
        "string" => (Place::Text(text.into()), named.to_string()),
        "query" => {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                "format_schema_source = 'query' is not supported",
            ));
        }
        other => return Err(bad(&format!("Unknown format_schema_source '{other}'"))),
    };
    Ok(Some(SchemaSource { place, message }))
}

fn bad(message: &str) -> Error {
    Error::new(codes::BAD_ARGUMENTS, message)
}

/// The text of the file `name` (with `extension` if it has none) below the folder.
pub fn read(name: &str, extension: &str) -> std::result::Result<String, String> {
    let folder = FOLDER.get().ok_or("there is no folder of schemas")?;
    read_below(folder, name, extension)
}

fn read_below(folder: &Path, name: &str, extension: &str) -> std::result::Result<String, String> {
    let mut path = PathBuf::from(name);
    if path.extension().is_none() {
        path.set_extension(extension);
    }
    let plain = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
    if !path.components().all(plain) || name.contains('\0') {
        return Err(format!("'{name}' is not below the folder of schemas"));
    }
    let folder = folder.canonicalize().map_err(|_| "File not found".to_string())?;
    // Links are followed, but not out of the folder.
    let path = folder.join(path).canonicalize().map_err(|_| "File not found".to_string())?;
    if !path.starts_with(&folder) {
        return Err(format!("'{name}' is not below the folder of schemas"));
    }
    let size = path.metadata().map_err(|e| e.to_string())?;
    if !size.is_file() || size.len() > FILE_BYTES_MAX {
        return Err(format!("'{name}' is no file, or a file of more than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(&path).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_is_opened() {
        let folder = std::env::temp_dir().join(format!("schemas-{}", uuid::Uuid::new_v4()));
        let inside = folder.join("in");
        std::fs::create_dir_all(inside.join("deep")).unwrap();
        std::fs::write(folder.join("secret.proto"), "secret").unwrap();
        std::fs::write(inside.join("a.proto"), "a").unwrap();
        std::fs::write(inside.join("deep/b.x"), "b").unwrap();
        std::os::unix::fs::symlink(folder.join("secret.proto"), inside.join("link.proto")).unwrap();
        assert_eq!(read_below(&inside, "a", "proto").as_deref(), Ok("a"));
        assert_eq!(read_below(&inside, "./deep/b.x", "proto").as_deref(), Ok("b"));
        for bad in ["../secret", "/etc/passwd", "link", "deep", "none", "deep/../../secret"] {
            assert!(read_below(&inside, bad, "proto").is_err(), "{bad}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn sources() {
        let mut settings = Settings::default();
        assert_eq!(of_settings(&settings).unwrap(), None);
        settings.set("format_schema", "dir/f.proto:M");
        let found = of_settings(&settings).unwrap().unwrap();
        assert_eq!((found.place, found.message.as_str()), (Place::File("dir/f.proto".into()), "M"));
        settings.set("format_schema_message_name", "N");
        assert!(of_settings(&settings).is_err(), "two names");
        settings.set("format_schema_source", "string");
        assert!(matches!(of_settings(&settings).unwrap().unwrap().place, Place::Text(_)));
    }
}
