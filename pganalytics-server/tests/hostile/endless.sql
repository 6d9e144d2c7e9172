-- What would run for hours.
select count(*) from bomb a, bomb b, bomb c, bomb d;
select sum(a.id * b.id * c.id * d.id) from bomb a, bomb b, bomb c, bomb d;
select count(*) from bomb a join bomb b on a.id <> b.id join bomb c on b.calls + c.calls + a.calls < 0;
select count(*) from generate_series(1, 9000000000000000) as s;
select * from generate_series(1, 9000000000000000) as s(n) where n < 0;
select sum(sin(a.value) * cos(b.value)) from generate_series(1, 1000000) a, generate_series(1, 1000000) b;
select max(a.id) from bomb a where a.calls > (select avg(b.calls * c.calls) from bomb b, bomb c, bomb d);
select count(*) from (select unnest(l) from (select array_agg(id) as l from bomb) x, bomb a, bomb b, bomb c) y;
