//! JSON columns in parts: whole, and path by path as a plain walk over the objects finds them.

use std::sync::Arc;

use super::tests::{Random, text, write_part};
use super::*;
use crate::block::Column;
use crate::disk::MemoryDisk;
use crate::run_time::object::ObjectBuilder;
use crate::run_time::subcolumn::Subcolumn;
use crate::run_time::{bytes_column, dynamic_of};
use crate::types::{DataType, Value, parse_data_type};

/// Objects with a path of one type, one of several, rare ones and declared ones.
fn objects(data_type: &DataType, rows: usize, seed: u64) -> Column {
    let DataType::Json(json) = data_type else { panic!("{data_type} is no JSON") };
    let mut random = Random(seed | 1);
    let mut bytes = vec![];
    for row in 0..rows {
        let mut object = ObjectBuilder::new();
        let mut put = |path: &str, t: DataType, v: Value| {
            object.push(path.as_bytes().to_vec(), dynamic_of(&t, &v).unwrap());
        };
        put("id", DataType::Int64, Value::Int(row as i64));
        if random.below(3) > 0 {
            match random.below(3) {
                0 => put("mixed", DataType::Int64, Value::Int(random.below(9) as i64)),
                1 => put("mixed", DataType::String, Value::string(format!("s{row}"))),
                _ => {
                    let t = DataType::array(DataType::nullable(DataType::Int64));
                    put("mixed", t, Value::Array(vec![Value::Int(1), Value::Null]));
                }
            }
        }
        if random.below(10) == 0 {
            put(&format!("rare.p{}", random.below(40)), DataType::Bool, Value::Bool(true));
        }
        if random.below(2) == 0 {
            let v = Value::string(["x", "yy"][random.below(2) as usize]);
            put("a.b", DataType::String, v.clone());
            if json.typed_path("d").is_some() {
                put("d", DataType::String, v);
            }
        }
        object.sort().unwrap();
        object.add_declared(json);
        bytes.push(Some(object.finish()));
    }
    bytes_column(data_type.clone(), bytes.into_iter())
}

#[test]
fn paths_are_read_alone_as_from_whole_objects() {
    let wanted = ["id", "mixed", "a.b", "a", "rare.p3", "none", "d"]
        .into_iter()
        .map(|p| Subcolumn::Path(p.into()))
        .chain([
            Subcolumn::Typed("id".into(), DataType::Int64),
            Subcolumn::Typed("id".into(), DataType::String),
            Subcolumn::Typed("mixed".into(), DataType::String),
            Subcolumn::Typed("mixed".into(), parse_data_type("Array(Nullable(Int64))").unwrap()),
            Subcolumn::Typed("rare.p3".into(), DataType::Bool),
            Subcolumn::Below("a".into()),
            Subcolumn::Below("rare".into()),
        ])
        .collect::<Vec<_>>();
    for name in ["JSON", "JSON(max_dynamic_paths=2)", "JSON(max_dynamic_paths=0, d String)"] {
        let data_type = parse_data_type(name).unwrap();
        let column = objects(&data_type, 300, 7);
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let part = write_part(&disk, std::slice::from_ref(&column), 64);
        let reader = PartReader::open(&disk, &part.meta.path()).unwrap();
        let all: Vec<usize> = (0..reader.granules()).collect();
        let whole = reader.read_column(0, &all).unwrap();
        assert_eq!(text(&whole), text(&column), "{name}");
        for sub in &wanted {
            assert_eq!(Subcolumn::parse(&sub.text()).as_ref(), Some(sub));
            let found = reader.read_subcolumn(0, &all, sub).unwrap();
            let expected = sub.of_column(&column).unwrap();
            assert_eq!(found.data_type, expected.data_type, "{name} {sub:?}");
            assert_eq!(text(&found), text(&expected), "{name} {sub:?}");
        }
        reader.verify_all().unwrap();
    }
}

#[test]
fn nothing_but_the_path_is_read() {
    let data_type = parse_data_type("JSON").unwrap();
    let column = objects(&data_type, 300, 3);
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let part = write_part(&disk, std::slice::from_ref(&column), 64);
    let path = part.meta.path();
    let reader = PartReader::open(&disk, &path).unwrap();
    let id = Subcolumn::Typed("id".into(), DataType::Int64);
    let before = reader.read_subcolumn(0, &[0], &id).unwrap();
    // The last byte of the first granule belongs to another path.
    let mark = reader.column(0).mark(0);
    let file = disk.open(&path).unwrap();
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes[(mark.file_offset + mark.length as u64) as usize - 1] ^= 1;
    let mut damaged = disk.create("parts/other").unwrap();
    damaged.append(&bytes).unwrap();
    damaged.sync().unwrap();
    let other = PartReader::open(&disk, "parts/other").unwrap();
    assert_eq!(text(&other.read_subcolumn(0, &[0], &id).unwrap()), text(&before));
    assert!(other.read_column(0, &[0]).is_err());
}
