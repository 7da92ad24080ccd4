# the queries of a well-known web analytics benchmark, with ties broken
SELECT COUNT(*) FROM web
SELECT COUNT(*) FROM web WHERE AdvEngineID <> 0
SELECT SUM(AdvEngineID), COUNT(*), AVG(ResolutionWidth) FROM web
SELECT AVG(UserID) FROM web
SELECT COUNT(DISTINCT UserID) FROM web
SELECT COUNT(DISTINCT SearchPhrase) FROM web
SELECT MIN(EventDate), MAX(EventDate) FROM web
SELECT AdvEngineID, COUNT(*) FROM web WHERE AdvEngineID <> 0 GROUP BY AdvEngineID ORDER BY COUNT(*) DESC, AdvEngineID
SELECT RegionID, COUNT(DISTINCT UserID) AS u FROM web GROUP BY RegionID ORDER BY u DESC, RegionID LIMIT 10
SELECT RegionID, SUM(AdvEngineID), COUNT(*) AS c, AVG(ResolutionWidth), COUNT(DISTINCT UserID) FROM web GROUP BY RegionID ORDER BY c DESC, RegionID LIMIT 10
SELECT MobilePhoneModel, COUNT(DISTINCT UserID) AS u FROM web WHERE MobilePhoneModel <> '' GROUP BY MobilePhoneModel ORDER BY u DESC, MobilePhoneModel LIMIT 10
SELECT MobilePhone, MobilePhoneModel, COUNT(DISTINCT UserID) AS u FROM web WHERE MobilePhoneModel <> '' GROUP BY MobilePhone, MobilePhoneModel ORDER BY u DESC, 1, 2 LIMIT 10
SELECT SearchPhrase, COUNT(*) AS c FROM web WHERE SearchPhrase <> '' GROUP BY SearchPhrase ORDER BY c DESC, 1 LIMIT 10
SELECT SearchPhrase, COUNT(DISTINCT UserID) AS u FROM web WHERE SearchPhrase <> '' GROUP BY SearchPhrase ORDER BY u DESC, 1 LIMIT 10
SELECT SearchEngineID, SearchPhrase, COUNT(*) AS c FROM web WHERE SearchPhrase <> '' GROUP BY SearchEngineID, SearchPhrase ORDER BY c DESC, 1, 2 LIMIT 10
SELECT UserID, COUNT(*) FROM web GROUP BY UserID ORDER BY COUNT(*) DESC, UserID LIMIT 10
SELECT UserID, SearchPhrase, COUNT(*) FROM web GROUP BY UserID, SearchPhrase ORDER BY COUNT(*) DESC, 1, 2 LIMIT 10
SELECT count() FROM (SELECT UserID, SearchPhrase, COUNT(*) FROM web GROUP BY UserID, SearchPhrase LIMIT 10)
SELECT UserID, extract(minute FROM EventTime) AS m, SearchPhrase, COUNT(*) FROM web GROUP BY UserID, m, SearchPhrase ORDER BY COUNT(*) DESC, 1, 2, 3 LIMIT 10
SELECT UserID FROM web WHERE UserID = 435090932899640449
SELECT COUNT(*) FROM web WHERE URL LIKE '%google%'
SELECT SearchPhrase, MIN(URL), COUNT(*) AS c FROM web WHERE URL LIKE '%google%' AND SearchPhrase <> '' GROUP BY SearchPhrase ORDER BY c DESC, 1 LIMIT 10
SELECT SearchPhrase, MIN(URL), MIN(Title), COUNT(*) AS c, COUNT(DISTINCT UserID) FROM web WHERE Title LIKE '%Google%' AND URL NOT LIKE '%.google.%' AND SearchPhrase <> '' GROUP BY SearchPhrase ORDER BY c DESC, 1 LIMIT 10
SELECT * FROM web WHERE URL LIKE '%google%' ORDER BY EventTime LIMIT 3
SELECT SearchPhrase FROM web WHERE SearchPhrase <> '' ORDER BY EventTime LIMIT 10
SELECT SearchPhrase FROM web WHERE SearchPhrase <> '' ORDER BY SearchPhrase LIMIT 10
SELECT SearchPhrase FROM web WHERE SearchPhrase <> '' ORDER BY EventTime, SearchPhrase LIMIT 10
SELECT CounterID, AVG(length(URL)) AS l, COUNT(*) AS c FROM web WHERE URL <> '' GROUP BY CounterID HAVING COUNT(*) > 10 ORDER BY l DESC, CounterID LIMIT 25
SELECT REGEXP_REPLACE(Referer, '^https?://(?:www\\.)?([^/]+)/.*$', '\\1') AS k, AVG(length(Referer)) AS l, COUNT(*) AS c, MIN(Referer) FROM web WHERE Referer <> '' GROUP BY k HAVING COUNT(*) > 10 ORDER BY l DESC, k LIMIT 25
SELECT SUM(ResolutionWidth), SUM(ResolutionWidth + 1), SUM(ResolutionWidth + 2), SUM(ResolutionWidth + 3), SUM(ResolutionWidth + 89) FROM web
SELECT SearchEngineID, ClientIP, COUNT(*) AS c, SUM(IsRefresh), AVG(ResolutionWidth) FROM web WHERE SearchPhrase <> '' GROUP BY SearchEngineID, ClientIP ORDER BY c DESC, 1, 2 LIMIT 10
SELECT WatchID, ClientIP, COUNT(*) AS c, SUM(IsRefresh), AVG(ResolutionWidth) FROM web WHERE SearchPhrase <> '' GROUP BY WatchID, ClientIP ORDER BY c DESC, 1, 2 LIMIT 10
SELECT WatchID, ClientIP, COUNT(*) AS c, SUM(IsRefresh), AVG(ResolutionWidth) FROM web GROUP BY WatchID, ClientIP ORDER BY c DESC, 1, 2 LIMIT 10
SELECT URL, COUNT(*) AS c FROM web GROUP BY URL ORDER BY c DESC, 1 LIMIT 10
SELECT 1, URL, COUNT(*) AS c FROM web GROUP BY 1, URL ORDER BY c DESC, 2 LIMIT 10
SELECT ClientIP, ClientIP - 1, ClientIP - 2, ClientIP - 3, COUNT(*) AS c FROM web GROUP BY ClientIP, ClientIP - 1, ClientIP - 2, ClientIP - 3 ORDER BY c DESC, 1 LIMIT 10
SELECT URL, COUNT(*) AS PageViews FROM web WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND EventDate <= '2013-07-31' AND DontCountHits = 0 AND IsRefresh = 0 AND URL <> '' GROUP BY URL ORDER BY PageViews DESC, URL LIMIT 10
SELECT Title, COUNT(*) AS PageViews FROM web WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND EventDate <= '2013-07-31' AND DontCountHits = 0 AND IsRefresh = 0 AND Title <> '' GROUP BY Title ORDER BY PageViews DESC, Title LIMIT 10
SELECT URL, COUNT(*) AS PageViews FROM web WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND EventDate <= '2013-07-31' AND IsRefresh = 0 AND IsLink <> 0 AND IsDownload = 0 GROUP BY URL ORDER BY PageViews DESC, URL LIMIT 10 OFFSET 2
SELECT TraficSourceID, SearchEngineID, AdvEngineID, CASE WHEN (SearchEngineID = 0 AND AdvEngineID = 0) THEN Referer ELSE '' END AS Src, URL AS Dst, COUNT(*) AS PageViews FROM web WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND EventDate <= '2013-07-31' AND IsRefresh = 0 GROUP BY TraficSourceID, SearchEngineID, AdvEngineID, Src, Dst ORDER BY PageViews DESC, 1, 2, 3, 4, 5 LIMIT 10 OFFSET 3
SELECT URLHash, EventDate, COUNT(*) AS PageViews FROM web WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND EventDate <= '2013-07-31' AND IsRefresh = 0 AND TraficSourceID IN (-1, 6) AND RefererHash != 3594120000172545465 GROUP BY URLHash, EventDate ORDER BY PageViews DESC, 1, 2 LIMIT 10
SELECT WindowClientWidth, WindowClientHeight, COUNT(*) AS PageViews FROM web WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND EventDate <= '2013-07-31' AND IsRefresh = 0 AND DontCountHits = 0 AND URLHash != 2868770270353813622 GROUP BY WindowClientWidth, WindowClientHeight ORDER BY PageViews DESC, 1, 2 LIMIT 10 OFFSET 5
SELECT DATE_TRUNC('minute', EventTime) AS M, COUNT(*) AS PageViews FROM web WHERE CounterID = 62 AND EventDate >= '2013-07-02' AND EventDate <= '2013-07-04' AND IsRefresh = 0 AND DontCountHits = 0 GROUP BY DATE_TRUNC('minute', EventTime) ORDER BY DATE_TRUNC('minute', EventTime) LIMIT 10 OFFSET 10
SELECT TraficSourceID, uniq(UserID), quantile(0.9)(ResolutionWidth), topK(1)(RegionID) FROM web GROUP BY TraficSourceID ORDER BY 1
SELECT toStartOfInterval(EventTime, INTERVAL 1 day) AS d, countIf(IsRefresh = 1) AS r, r / count() AS share FROM web GROUP BY d ORDER BY d LIMIT 4
SELECT domain(URL) AS dom, uniqExact(UserID) AS u, any(dom) FROM web GROUP BY dom ORDER BY u DESC, dom
SELECT UserID, windowFunnel(100000)(EventTime, JavaEnable = 1, IsRefresh = 1) AS f FROM web GROUP BY UserID ORDER BY f DESC, UserID LIMIT 3
SELECT d, c, sum(c) OVER (ORDER BY d) AS running FROM (SELECT EventDate AS d, count() AS c FROM web GROUP BY d) ORDER BY d LIMIT 4
SELECT EventDate, uniqExact(UserID) AS u, lagInFrame(u) OVER (ORDER BY EventDate) AS before, u - before FROM web GROUP BY EventDate ORDER BY EventDate LIMIT 3
SELECT URL, count() AS c FROM web WHERE URL IN (SELECT URL FROM web WHERE IsRefresh GROUP BY URL HAVING count() > 3) GROUP BY URL ORDER BY c DESC, URL LIMIT 3
WITH top AS (SELECT RegionID, count() AS c FROM web GROUP BY RegionID ORDER BY c DESC, RegionID LIMIT 2) SELECT w.RegionID, uniqExact(UserID) FROM web AS w JOIN top ON w.RegionID = top.RegionID GROUP BY w.RegionID ORDER BY w.RegionID
