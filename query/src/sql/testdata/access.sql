create user u
create user if not exists u, v@'192.168.%', w@localhost
create user or replace u not identified
create user u identified by 'x'
create user u identified with plaintext_password by 'x' host any
create user u identified with sha256_password by 'x', double_sha1_password by 'y' host local, ip '10.0.0.0/8', ip '1.2.3.4', name 'a.b', name regexp '.*b', like '%c'
create user u identified with sha256_hash by 'ABCD' salt 'EF'
create user u identified with no_password
create user u identified with bcrypt_password by 'x' valid until '2030-01-01'
create user u valid until '2030-01-01 10:00:00' identified by 'x'
create user u identified by 'x' valid until '2030-01-01 10:00:00' host none
create user u valid until 'infinity'
create user u host any default role r1, r2 default database d settings max_threads = 4 min 1 max 8 readonly, profile 'p' grantees any except v
create user u default role all
create user u default role all except r
create user u default role none default database none settings none grantees none
create user u settings max_threads 4 changeable_in_readonly, inherit p, max_memory_usage min 1 max = 5 const, log_queries
create user u in memory
create user u settings x = 'a', y writable
alter user u rename to v
alter user if exists u identified by 'x' host ip '::1'
alter user u add identified with plaintext_password by 'z'
alter user u reset authentication methods to new
alter user u add host ip '1.1.1.1' drop host local, name 'x'
alter user u add settings max_threads = 3 modify setting max_memory_usage = 3 drop settings a, b
alter user u drop all settings, drop all profiles, add profile 'x'
alter user u drop profile 'x'
alter user u default role r
alter user u valid until '2020-01-01'
alter user u on cluster c identified by 'x'
create user u on cluster c
create user u@'%'
create user `a b`@'10.0.0.1'
drop user if exists u, v@'x'
drop user u from local_directory
create role r settings max_threads = 3
create role if not exists r, s
create role or replace r
alter role r rename to s settings max_threads = 3
drop role r
grant select on *.* to u
grant select(a,b), insert on db.t to u, v with grant option
grant select on db.*, insert on db.* to u
grant select on db.*, insert on db2.* to current_user
grant select on * to u
grant select on t to u
grant select on db*.* to u
grant select on db.t* to u
grant select(a) on db.t* to u
grant select on *.t to u
grant all privileges on *.* to u
grant all on db.* to u
grant alter update, alter delete on db.t to u
grant create user, alter user on * to u
grant create user, alter user on *.* to u
grant alter user on ad* to u
grant table engine on MergeTree to u
grant file, url on *.* to u
grant sources on *.* to u
grant set definer on x to u
grant named collection on nc to u
grant usage on *.* to u
grant none on *.* to u
grant r1 to u
grant r1, r2 to u, current_user with admin option
grant r1 to u with replace option
grant select on db.* to u with replace option
grant select on db.* to u with grant option with replace option
grant current grants on *.* to u
grant current grants(select on db.*, insert on *.*) to u
grant introspection on *.* to u
grant addressToLine, dictGet on *.* to u
grant dictHas on *.* to u
grant show tables, show columns on db.* to u
grant access management on *.* to u
grant role admin on *.* to u
grant on cluster c select on *.* to u
revoke select on *.* from u
revoke grant option for select on *.* from u
revoke all on *.* from u
revoke all from u
revoke admin option for r from u
revoke r from u
revoke all except r from u
revoke select(a) on db.t from all except v
revoke all privileges on *.* from u
set role default
set role none
set role all
set role all except r
set role r1, r2
set default role none to u
set default role all except r to u, v
show grants for u
show grants for u, v with implicit final
show grants for current_user
show grants for all
show grants with implicit
show grants final
show create user u, v
show create user
show create user current_user
show create users
show create users u
show create role r
show create roles
show users
show current roles
show access
check grant select(a, b) on db.t
check grant select on *.*
create row policy p on db.t using a = 1 to u
create policy p on db.t for select using a = 1 as restrictive to all except v
create row policy if not exists p, q on db.t, db2.* using 1
create row policy p on db.t, q on t using none to all
alter row policy p on db.t rename to q
drop row policy p, q on db.t, db.*
create settings profile p settings max_threads = 3 to u
create profile p settings inherit 'q' to all
create quota q keyed by user_name for interval 1 hour max queries = 100, errors = 3 to u
create quota q for randomized interval 30 minute max result_rows 5 execution_time 2, for 1 day tracking only, for 2 month no limits
create quota q not keyed
create quota q keyed by client_key, user_name for 1 hour queries max 3
create quota q key by 'user name'
grant select on `a`.`b` to `u`
grant select on `db`.* to u
grant select on 'db'.'t' to u
grant foo on *.* to u
grant select to u
move user u to memory
show row policies on db.t
show create row policy p on db.t
grant update, delete on db.t to u
