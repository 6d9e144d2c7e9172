-- Values copied for each row.
select count(*) from (select array_agg(value) l from generate_series(1, 40000)) x cross join generate_series(1, 8192) g where cardinality(l) + g.value > 0;
select count(*) from (select array_agg(value) l from generate_series(1, 400000)) x cross join generate_series(1, 8192) g where cardinality(l) + g.value > 0;
select count(l) from (select array_agg(value) l, 1 as k from generate_series(1, 400000)) x join (select value, 1 as k from generate_series(1, 8192)) g on x.k = g.k where cardinality(l) + g.value > 0;
select count(s) from (select string_agg(value::text, ',') s from generate_series(1, 400000)) x cross join generate_series(1, 8192) g where length(s) + g.value > 0;
select count(s) from (select repeat('x', 1000000) || max(id)::text as s from bomb) x cross join generate_series(1, 100000) g where length(s) + g.value > 0;
select unnest(l), l from (select array_agg(value) l from generate_series(1, 40000)) x;
select unnest(l), s from (select array_agg(value) l, string_agg(value::text, '') s from generate_series(1, 100000)) x;
select array_agg(value) over (order by value) from generate_series(1, 100000);
select string_agg(value::text, ',') over (order by value) from generate_series(1, 100000);
select count(*) from bomb a join bomb b on a.id <> b.id join bomb c on b.calls < c.calls;
select count(*) from bomb a full join bomb b on a.id < b.id full join bomb c on b.id < c.id;
select a.id, array_agg(b.id * 100000 + c.id) from bomb a, bomb b, bomb c group by a.id;
select * from bomb a, bomb b order by a.id * b.id desc, a.time, b.time;
select distinct a.id * b.id * c.id from bomb a, bomb b, bomb c;
select sum(a.calls * b.calls) from bomb a cross join bomb b cross join bomb c;
