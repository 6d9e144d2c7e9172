-- Lists and texts that need all the memory there is.
select array_agg(value) from generate_series(1, 100000000);
select string_agg(value::text, ',') from generate_series(1, 100000000);
select cardinality(array_agg(value || repeat('x', 1000))) from generate_series(1, 1000000);
select count(distinct value) from generate_series(1, 100000000);
select value % 90000000 as v, count(*) from generate_series(1, 90000000) group by 1;
select max(v) from (select sum(value) over () as v from generate_series(1, 100000000)) t;
select percentile_cont(0.5) within group (order by value) from generate_series(1, 100000000);
select value from generate_series(1, 100000000) order by value % 1000, value desc;
select count(*) from generate_series(1, 100000000) a(n) join generate_series(1, 100000000) b(n) on a.n = b.n + 1;
select repeat('x', 100000) from generate_series(1, 100000);
select [repeat('x', 100000), repeat('y', 100000), repeat('z', 100000)] from generate_series(1, 100000);
select array_agg(a) from (select array_agg(value) a from generate_series(1, 1000000) group by value % 1000) t;
select row_number() over (order by value % 7, value), lag(value, 1000000) over (order by value) from generate_series(1, 50000000);
