//! The native protocol said byte by byte, at the newest revision spoken here: packets in chunks and not, the state
//! of tables, and settings of the Native format, which hold on this protocol as they do over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::free_port;
use crate::harness::server::Server;

const REVISION: u64 = 54_470;
const DATA: u8 = 1;
const EXCEPTION: u8 = 2;
const PROGRESS: u8 = 3;
const PONG: u8 = 4;
const END: u8 = 5;
const PROFILE: u8 = 6;
const TABLES: u8 = 9;

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// A connection of one client.
struct Client {
    stream: TcpStream,
    /// Whether packets go in chunks, both ways.
    chunked: bool,
    /// What came, without its chunks, and how far it was read.
    came: Vec<u8>,
    at: usize,
    /// Bytes of the current chunk that have not come.
    left: usize,
}

impl Client {
    fn connect(port: u16, chunked: bool) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut client = Client { stream, chunked: false, came: vec![], at: 0, left: 0 };
        let mut hello = vec![0];
        text(&mut hello, "probe");
        [26, 9, REVISION].iter().for_each(|n| number(&mut hello, *n));
        ["", "default", ""].iter().for_each(|t| text(&mut hello, t));
        client.stream.write_all(&hello).unwrap();
        assert_eq!(client.byte(), 0);
        assert_eq!(client.text(), "ClickHouse");
        let (_major, _minor, revision) = (client.number(), client.number(), client.number());
        assert_eq!(revision, REVISION);
        let (_zone, _name, _patch) = (client.text(), client.text(), client.number());
        assert_eq!([client.text(), client.text()], ["notchunked_optional", "notchunked_optional"]);
        assert_eq!(client.number(), 0, "rules of passwords");
        client.skip(8);
        let mut addendum = vec![];
        text(&mut addendum, "");
        let way = if chunked { "chunked" } else { "notchunked" };
        [way, way].iter().for_each(|t| text(&mut addendum, t));
        client.stream.write_all(&addendum).unwrap();
        client.chunked = chunked;
        client
    }

    /// Sends a packet; in chunks, in pieces of `piece` bytes.
    fn send(&mut self, packet: &[u8], piece: usize) {
        if !self.chunked {
            return self.stream.write_all(packet).unwrap();
        }
        for part in packet.chunks(piece) {
            self.stream.write_all(&(part.len() as u32).to_le_bytes()).unwrap();
            self.stream.write_all(part).unwrap();
        }
        self.stream.write_all(&[0; 4]).unwrap();
    }

    fn raw(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn byte(&mut self) -> u8 {
        if self.at < self.came.len() {
            self.at += 1;
            return self.came[self.at - 1];
        }
        if !self.chunked {
            return self.raw(1)[0];
        }
        while self.left == 0 {
            let length = self.raw(4);
            self.left = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        }
        self.came = self.raw(self.left);
        (self.at, self.left) = (1, 0);
        self.came[0]
    }

    fn skip(&mut self, count: usize) {
        (0..count).for_each(|_| {
            self.byte();
        });
    }

    fn number(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn text(&mut self) -> String {
        let length = self.number();
        String::from_utf8((0..length).map(|_| self.byte()).collect()).unwrap()
    }

    /// A query and the empty block behind it.
    fn ask(&mut self, sql: &str, settings: &[(&str, &str)], piece: usize) {
        let mut query = vec![1];
        text(&mut query, "");
        query.push(1);
        ["", "", "0.0.0.0:0"].iter().for_each(|t| text(&mut query, t));
        query.extend_from_slice(&[0; 8]);
        query.push(1);
        ["", "", "probe"].iter().for_each(|t| text(&mut query, t));
        [26, 9, REVISION].iter().for_each(|n| number(&mut query, *n));
        text(&mut query, "");
        // Depth, patch, no trace, no replicas.
        query.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
        for (name, value) in settings {
            text(&mut query, name);
            query.push(1);
            text(&mut query, value);
        }
        text(&mut query, "");
        text(&mut query, "");
        query.extend_from_slice(&[2, 0]);
        text(&mut query, sql);
        text(&mut query, "");
        self.send(&query, piece);
        let block: [&[u8]; 2] = [&[2, 0], &[1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]];
        self.send(&block.concat(), piece);
    }

    /// The head of a block: how many columns and rows.
    fn block(&mut self) -> (u64, u64) {
        assert_eq!(self.text(), "");
        let info: Vec<u8> = (0..8).map(|_| self.byte()).collect();
        assert_eq!(info, [1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0]);
        (self.number(), self.number())
    }

    /// What ends a result, up to the end of the stream.
    fn end(&mut self) {
        loop {
            match self.byte() {
                PROFILE => {
                    // Rows, blocks, bytes, limit applied, before it, counted; aggregation, before it.
                    (0..8).for_each(|_| {
                        self.number();
                    });
                }
                PROGRESS => (0..7).for_each(|_| {
                    self.number();
                }),
                END => return,
                other => panic!("packet {other} at the end of a result"),
            }
        }
    }
}

fn server(name: &str) -> (Server, u16) {
    let port = free_port();
    (Server::start_configured(name, &[("PUMPHOUSE_TCP_PORT", &port.to_string())]), port)
}

#[test]
fn packets_come_in_chunks_if_the_client_likes() {
    let (_server, port) = server("native_chunks");
    for (chunked, piece) in [(false, 1), (true, 1 << 20), (true, 3), (true, 1)] {
        let mut client = Client::connect(port, chunked);
        for _ in 0..2 {
            client.send(&[4], piece);
            assert_eq!(client.byte(), PONG);
        }
        client.ask("SELECT 7::UInt8 AS seven", &[], piece);
        for rows in [0, 1] {
            assert_eq!(client.byte(), DATA);
            assert_eq!(client.block(), (1, rows));
            assert_eq!((client.text(), client.text()), ("seven".into(), "UInt8".into()));
            assert_eq!(client.byte(), 0);
            (0..rows).for_each(|_| assert_eq!(client.byte(), 7));
        }
        client.end();
        // An error leaves the connection as it is.
        client.ask("SELECT nothing", &[], piece);
        assert_eq!(client.byte(), EXCEPTION);
        let code = u32::from_le_bytes([(); 4].map(|()| client.byte()));
        assert_eq!((code, client.text()), (47, "DB::Exception".into()));
        let (_message, _stack, _nested) = (client.text(), client.text(), client.byte());
        client.send(&[4], piece);
        assert_eq!(client.byte(), PONG);
    }
}

#[test]
fn the_state_of_tables_is_told() {
    let (server, port) = server("native_tables");
    server.sql("CREATE TABLE here (n UInt8) ENGINE = MergeTree ORDER BY n");
    let mut client = Client::connect(port, false);
    let mut request = vec![5];
    number(&mut request, 3);
    for (database, table) in [("default", "here"), ("default", "nowhere"), ("none", "here")] {
        text(&mut request, database);
        text(&mut request, table);
    }
    client.send(&request, 1);
    assert_eq!(client.byte(), TABLES);
    assert_eq!(client.number(), 1);
    assert_eq!((client.text(), client.text()), ("default".into(), "here".into()));
    assert_eq!(client.byte(), 0, "it is not replicated");
    client.send(&[4], 1);
    assert_eq!(client.byte(), PONG);
}

#[test]
fn settings_of_native_hold_here_too() {
    let (_server, port) = server("native_settings");
    let mut client = Client::connect(port, false);
    // The type as its code: 0x1e is an array, 0x01 UInt8.
    client.ask(
        "SELECT [1, 2] AS a",
        &[("output_format_native_encode_types_in_binary_format", "1")],
        1,
    );
    for rows in [0, 1] {
        assert_eq!(client.byte(), DATA);
        assert_eq!(client.block(), (1, rows));
        assert_eq!(client.text(), "a");
        assert_eq!([client.byte(), client.byte(), client.byte()], [0x1e, 0x01, 0]);
        if rows == 1 {
            let bytes: Vec<u8> = (0..10).map(|_| client.byte()).collect();
            assert_eq!(bytes, [2, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        }
    }
    client.end();
    // JSON as text: version 1 of its serialization, then strings. In the statement's own settings, too.
    let sql =
        "SELECT '{\"a\":1}'::JSON AS j SETTINGS output_format_native_write_json_as_string = 1";
    client.ask(sql, &[], 1);
    for rows in [0, 1] {
        assert_eq!(client.byte(), DATA);
        assert_eq!(client.block(), (1, rows));
        assert_eq!((client.text(), client.text()), ("j".into(), "JSON".into()));
        assert_eq!(client.byte(), 0);
        if rows == 1 {
            let version: Vec<u8> = (0..8).map(|_| client.byte()).collect();
            assert_eq!(version, [1, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(client.text(), "{\"a\":1}");
        }
    }
    client.end();
}
