-- One query a line; a line that begins with "-- duckdb:" is the query before it in DuckDB's words.
-- {user}, {url_hash}, {referer_hash} are filled in from the data.
SELECT count(*) FROM hits
SELECT count(*) FROM hits WHERE AdvEngineID <> 0
SELECT sum(AdvEngineID), count(*), avg(ResolutionWidth) FROM hits
SELECT avg(UserID) FROM hits
SELECT count(DISTINCT UserID) FROM hits
SELECT count(DISTINCT SearchPhrase) FROM hits
SELECT min(EventDate), max(EventDate) FROM hits
SELECT AdvEngineID, count(*) AS c FROM hits WHERE AdvEngineID <> 0 GROUP BY AdvEngineID ORDER BY c DESC
SELECT RegionID, count(DISTINCT UserID) AS u FROM hits GROUP BY RegionID ORDER BY u DESC LIMIT 10
SELECT RegionID, sum(AdvEngineID), avg(ResolutionWidth), count(DISTINCT UserID), count(*) AS c FROM hits GROUP BY RegionID ORDER BY c DESC LIMIT 10
SELECT MobilePhoneModel, count(DISTINCT UserID) AS u FROM hits WHERE MobilePhoneModel <> '' GROUP BY MobilePhoneModel ORDER BY u DESC LIMIT 10
SELECT MobilePhone, MobilePhoneModel, count(DISTINCT UserID) AS u FROM hits WHERE MobilePhoneModel <> '' GROUP BY MobilePhone, MobilePhoneModel ORDER BY u DESC LIMIT 10
SELECT SearchPhrase, count(*) AS c FROM hits WHERE SearchPhrase <> '' GROUP BY SearchPhrase ORDER BY c DESC LIMIT 10
SELECT SearchPhrase, count(DISTINCT UserID) AS u FROM hits WHERE SearchPhrase <> '' GROUP BY SearchPhrase ORDER BY u DESC LIMIT 10
SELECT SearchEngineID, SearchPhrase, count(*) AS c FROM hits WHERE SearchPhrase <> '' GROUP BY SearchEngineID, SearchPhrase ORDER BY c DESC LIMIT 10
SELECT UserID, count(*) AS c FROM hits GROUP BY UserID ORDER BY c DESC LIMIT 10
SELECT UserID, SearchPhrase, count(*) AS c FROM hits GROUP BY UserID, SearchPhrase ORDER BY c DESC LIMIT 10
SELECT UserID, SearchPhrase, count(*) AS c FROM hits GROUP BY UserID, SearchPhrase LIMIT 10
SELECT UserID, extract(minute FROM EventTime) AS m, SearchPhrase, count(*) AS c FROM hits GROUP BY UserID, m, SearchPhrase ORDER BY c DESC LIMIT 10
SELECT UserID FROM hits WHERE UserID = {user}
SELECT count(*) FROM hits WHERE URL LIKE '%google%'
SELECT SearchPhrase, min(URL), count(*) AS c FROM hits WHERE URL LIKE '%google%' AND SearchPhrase <> '' GROUP BY SearchPhrase ORDER BY c DESC LIMIT 10
SELECT SearchPhrase, min(URL), min(Title), count(*) AS c, count(DISTINCT UserID) FROM hits WHERE Title LIKE '%Google%' AND URL NOT LIKE '%.google.%' AND SearchPhrase <> '' GROUP BY SearchPhrase ORDER BY c DESC LIMIT 10
SELECT * FROM hits WHERE URL LIKE '%google%' ORDER BY EventTime, WatchID LIMIT 10
SELECT SearchPhrase FROM hits WHERE SearchPhrase <> '' ORDER BY EventTime, WatchID LIMIT 10
SELECT SearchPhrase FROM hits WHERE SearchPhrase <> '' ORDER BY SearchPhrase LIMIT 10
SELECT SearchPhrase FROM hits WHERE SearchPhrase <> '' ORDER BY EventTime, SearchPhrase LIMIT 10
SELECT CounterID, avg(length(URL)) AS l, count(*) AS c FROM hits WHERE URL <> '' GROUP BY CounterID HAVING c > 10000 ORDER BY l DESC LIMIT 25
-- duckdb: SELECT CounterID, avg(strlen(URL)) AS l, count(*) AS c FROM hits WHERE URL <> '' GROUP BY CounterID HAVING c > 10000 ORDER BY l DESC LIMIT 25
SELECT replaceRegexpOne(Referer, '^https?://(?:www\\.)?([^/]+)/.*$', '\\1') AS k, avg(length(Referer)) AS l, count(*) AS c, min(Referer) FROM hits WHERE Referer <> '' GROUP BY k HAVING c > 10000 ORDER BY l DESC LIMIT 25
-- duckdb: SELECT regexp_replace(Referer, '^https?://(?:www\.)?([^/]+)/.*$', '\1') AS k, avg(strlen(Referer)) AS l, count(*) AS c, min(Referer) FROM hits WHERE Referer <> '' GROUP BY k HAVING c > 10000 ORDER BY l DESC LIMIT 25
{sums}
SELECT SearchEngineID, ClientIP, count(*) AS c, sum(IsRefresh), avg(ResolutionWidth) FROM hits WHERE SearchPhrase <> '' GROUP BY SearchEngineID, ClientIP ORDER BY c DESC LIMIT 10
SELECT WatchID, ClientIP, count(*) AS c, sum(IsRefresh), avg(ResolutionWidth) FROM hits WHERE SearchPhrase <> '' GROUP BY WatchID, ClientIP ORDER BY c DESC LIMIT 10
SELECT WatchID, ClientIP, count(*) AS c, sum(IsRefresh), avg(ResolutionWidth) FROM hits GROUP BY WatchID, ClientIP ORDER BY c DESC LIMIT 10
SELECT URL, count(*) AS c FROM hits GROUP BY URL ORDER BY c DESC LIMIT 10
SELECT 1, URL, count(*) AS c FROM hits GROUP BY 1, URL ORDER BY c DESC LIMIT 10
SELECT ClientIP, ClientIP - 1, ClientIP - 2, ClientIP - 3, count(*) AS c FROM hits GROUP BY ClientIP, ClientIP - 1, ClientIP - 2, ClientIP - 3 ORDER BY c DESC LIMIT 10
-- duckdb: SELECT ClientIP, ClientIP::BIGINT - 1, ClientIP::BIGINT - 2, ClientIP::BIGINT - 3, count(*) AS c FROM hits GROUP BY ClientIP, ClientIP::BIGINT - 1, ClientIP::BIGINT - 2, ClientIP::BIGINT - 3 ORDER BY c DESC LIMIT 10
SELECT URL, count(*) AS v FROM hits WHERE CounterID = 85 AND EventDate >= '2024-07-01' AND EventDate <= '2024-07-31' AND DontCountHits = 0 AND IsRefresh = 0 AND URL <> '' GROUP BY URL ORDER BY v DESC LIMIT 10
SELECT Title, count(*) AS v FROM hits WHERE CounterID = 85 AND EventDate >= '2024-07-01' AND EventDate <= '2024-07-31' AND DontCountHits = 0 AND IsRefresh = 0 AND Title <> '' GROUP BY Title ORDER BY v DESC LIMIT 10
SELECT URL, count(*) AS v FROM hits WHERE CounterID = 85 AND EventDate >= '2024-07-01' AND EventDate <= '2024-07-31' AND IsRefresh = 0 AND IsLink <> 0 AND IsDownload = 0 GROUP BY URL ORDER BY v DESC LIMIT 10 OFFSET 1000
SELECT TraficSourceID, SearchEngineID, AdvEngineID, CASE WHEN SearchEngineID = 0 AND AdvEngineID = 0 THEN Referer ELSE '' END AS src, URL AS dst, count(*) AS v FROM hits WHERE CounterID = 85 AND EventDate >= '2024-07-01' AND EventDate <= '2024-07-31' AND IsRefresh = 0 GROUP BY TraficSourceID, SearchEngineID, AdvEngineID, src, dst ORDER BY v DESC LIMIT 10 OFFSET 1000
SELECT URLHash, EventDate, count(*) AS v FROM hits WHERE CounterID = 85 AND EventDate >= '2024-07-01' AND EventDate <= '2024-07-31' AND IsRefresh = 0 AND TraficSourceID IN (-1, 6) AND RefererHash = {referer_hash} GROUP BY URLHash, EventDate ORDER BY v DESC LIMIT 10 OFFSET 100
SELECT WindowClientWidth, WindowClientHeight, count(*) AS v FROM hits WHERE CounterID = 85 AND EventDate >= '2024-07-01' AND EventDate <= '2024-07-31' AND IsRefresh = 0 AND DontCountHits = 0 AND URLHash = {url_hash} GROUP BY WindowClientWidth, WindowClientHeight ORDER BY v DESC LIMIT 10 OFFSET 100
SELECT toStartOfMinute(EventTime) AS m, count(*) AS v FROM hits WHERE CounterID = 85 AND EventDate >= '2024-07-14' AND EventDate <= '2024-07-15' AND IsRefresh = 0 AND DontCountHits = 0 GROUP BY m ORDER BY m LIMIT 10 OFFSET 100
-- duckdb: SELECT date_trunc('minute', EventTime) AS m, count(*) AS v FROM hits WHERE CounterID = 85 AND EventDate >= '2024-07-14' AND EventDate <= '2024-07-15' AND IsRefresh = 0 AND DontCountHits = 0 GROUP BY m ORDER BY m LIMIT 10 OFFSET 100
