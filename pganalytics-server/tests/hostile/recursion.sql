-- What calls itself.
with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t;
with recursive t(n) as (select 1 union all select n + 1 from t) select n from t;
with recursive t(n) as (select id from bomb union all select t.n + 1 from t, bomb where bomb.id = 1) select max(n) from t;
with recursive t(n) as (select id from bomb union all select t.n + bomb.id from t, bomb) select count(*) from t;
with recursive t(s) as (select 'x' union all select s || s from t) select max(length(s)) from t;
with recursive t(s) as (select 'x' union all select s || s || s || s from t where length(s) < 2000000000) select max(length(s)) from t;
with recursive t(n) as (select 1 union select (n * 7 + 1) % 1000000007 from t) select count(*) from t;
with recursive t(l) as (select [1] union all select array_append(l, 1) from t) select max(cardinality(l)) from t;
