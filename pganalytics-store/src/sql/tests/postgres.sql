-- One expression a line; `select` before it is added. PostgreSQL 17 and the
-- engine must give the same text and the same name of the column, or both an error.

-- Names
1
'a'
null
true
1 + 1
-1
'a' || 'b'
1 < 2
not true
null is null
count(*)
sum(1)
max(1)
now() is not null
coalesce(null, 1)
nullif(1, 2)
greatest(1, 2)
least(1, 2)
case when true then 1 end
case when true then 1 else 2 end
select case when true then 1 else t.x end from (select 3 as x) t
select x::text from (select 3 as x) t
select abs(x)::text from (select 3 as x) t
select t.x from (select 3 as x) t
select (x) from (select 3 as x) t
select -x from (select 3 as x) t
select x + 1 from (select 3 as x) t
select (select max(x) from (select 3 as x) t)
select (select 1)
1::bigint
'1'::integer
cast('1' as smallint)
'2024-01-02'::date
date '2024-01-02'
interval '1 day'
timestamp '2024-01-02 03:04:05'
extract(year from timestamp '2024-01-02')
substring('abc' from 2)
position('b' in 'abc')
trim('  a ')
trim(leading 'x' from 'xxa')
select row_number() over () from (select 1) t
select COUNT(*) from (select 1) t
select "X" from (select 1 as "X") t
select string_agg(x, ',') from (select 'a' as x) t
select x between 1 and 2 from (select 1 as x) t
select 1 union select 1

-- Arithmetic
7 / 2
-7 / 2
7 % 3
-7 % 3
1 / 0
1 % 0
1::double precision / 0
1::float8 / 0::float8
0::float8 / 0
7::float8 / 2
9223372036854775807 + 1
9223372036854775807 * 2
-9223372036854775807 - 2
9223372036854775807 - 1
2 * 3 + 4
2 + 3 * 4
abs(-5)
sign(-3::float8)
sign(0::float8)
ceil(1.2::float8)
floor(-1.2::float8)
round(1.4::float8)
round(1.6::float8)
trunc(1.9::float8)
sqrt(16::float8)
sqrt(-1::float8)
cbrt(27::float8)
power(2::float8, 10)
exp(0::float8)
ln(1::float8)
ln(0::float8)
ln(-1::float8)
log(100::float8)
log(0::float8)
log(-1::float8)
log10(1000::float8)
pi()
degrees(pi())
radians(180::float8)
sin(0::float8)
cos(0::float8)
atan2(1::float8, 1)
gcd(12, 18)
lcm(4, 6)
factorial(5)
width_bucket(5::float8, 0, 10, 5)
width_bucket(-1::float8, 0, 10, 5)
width_bucket(10::float8, 0, 10, 5)
width_bucket(3::float8, 10, 0, 5)
width_bucket(3::float8, 0, 10, 0)
width_bucket(3::float8, 1, 1, 2)
greatest(1, null, 3)
least(null, 2, 1)
coalesce(null, null, 3)
nullif(1, 1)

-- Casts
2.5::float8::int
3.5::float8::int
2.4::float8::bigint
-2.5::float8::int
2.6::float8::smallint
'12'::int
'x'::int
''::int
'1.5'::int
'1.5'::float8
'x'::float8
300000::smallint
3000000000::int
true::text
1::text
1.5::float8::text
1::float8::text
1e20::float8::text
1e15::float8::text
1e14::float8::text
1e-5::float8::text
0.0001::float8::text
'NaN'::float8::text
'Infinity'::float8::text
'true'::boolean
'maybe'::boolean
timestamp '2024-01-02 03:04:05.5'::text
timestamptz '2024-01-02 03:04:05+00'::text
(date '2024-01-02')::text
interval '1 day'::text

-- Texts
length('héllo')
octet_length('héllo')
upper('abc')
lower('ABC')
initcap('hello world')
left('hello', 2)
left('hello', -2)
right('hello', 2)
right('hello', -2)
substring('hello', 2, 3)
substring('hello' from 2 for 3)
substr('hello', 2)
split_part('a,b,c', ',', 2)
split_part('a,b,c', ',', -1)
split_part('a,b,c', ',', 9)
strpos('hello', 'l')
strpos('hello', 'z')
replace('banana', 'a', 'o')
translate('12345', '143', 'ax')
reverse('abc')
repeat('ab', 3)
repeat('ab', -1)
lpad('7', 3, '0')
rpad('7', 3, '0')
lpad('hello', 3)
ltrim('xxabc', 'x')
rtrim('abcxx', 'x')
btrim('xxabcxx', 'x')
concat('a', null, 'b')
concat('a', 1, true)
concat_ws(',', 'a', null, 'b')
'a' || null
'x' || 1
1 || 'x'
'x' || 1.5::float8
ascii('A')
chr(65)
to_hex(255)
starts_with('hello', 'he')
overlay('abcdef' placing 'XX' from 3 for 2)
'hello' like 'h%'
'hello' like 'H%'
'hello' ilike 'H%'
'hello' not like 'x%'
'hello' ~ '^h.*o$'
'hello' ~* 'HELLO'
'hello' !~ 'x'
regexp_replace('foobar', 'o', 'x')
regexp_replace('foobar', 'o', 'x', 'g')
regexp_replace('foobar', '(o+)(b)', '\2\1')
regexp_like('hello', 'l+')
regexp_count('hello', 'l')
format('%s of %s', 'a', 1)
format('%I', 'Hello')
format('%I', 'hello')
format('%L', 'it''s')
format('%L', null)
format('%s', null)
format('100%%')
format('%2$s %1$s', 'a', 'b')
format('%s')
format('%q', 1)

-- to_char of times
to_char(timestamp '2024-03-05 14:07:09.123456', 'YYYY-MM-DD HH24:MI:SS')
to_char(timestamp '2024-03-05 14:07:09.123456', 'YYYY-MM-DD"T"HH24:MI:SS.MS')
to_char(timestamp '2024-03-05 14:07:09.123456', 'US FF3 FF6')
to_char(timestamp '2024-03-05 14:07:09', 'HH12:MI AM')
to_char(timestamp '2024-03-05 00:07:09', 'HH:MI pm')
to_char(timestamp '2024-03-05 14:07:09', 'Day, DD Month YYYY')
to_char(timestamp '2024-03-05 14:07:09', 'FMDay, FMDD FMMonth YYYY')
to_char(timestamp '2024-03-05 14:07:09', 'Dy DD Mon YY')
to_char(timestamp '2024-03-05 14:07:09', 'DAY MON dy')
to_char(timestamp '2024-03-05 14:07:09', 'IYYY-IW-ID')
to_char(timestamp '2024-03-05 14:07:09', 'DDD WW W Q D')
to_char(timestamp '2024-03-05 14:07:09', 'J')
to_char(timestamp '2024-03-05 14:07:09', 'SSSS')
to_char(timestamp '2024-03-05 14:07:09', 'yyyy-mm-dd hh24:mi:ss')
to_char(timestamp '2024-03-05 14:07:09', 'Y,YYY CC')
to_char(timestamp '2024-03-01 14:07:09', 'FMDDth')
to_char(timestamp '2024-03-12 14:07:09', 'DDTH')
to_char(timestamp '2024-03-05 14:07:09', 'FMRM')
to_char(timestamp '2024-03-05 14:07:09', '')
to_char(timestamptz '2024-03-05 14:07:09+00', 'YYYY TZ OF')
to_char(date '2024-03-05', 'DD.MM.YYYY')
to_char(interval '36 hours 5 minutes', 'HH24:MI:SS')
to_char(interval '3 days 4 hours', 'DD HH24')
to_char(interval '1 year 2 months', 'YYYY MM')

-- to_char of numbers
to_char(125, '999')
to_char(-125, '999')
to_char(125, '99')
to_char(5, '099')
to_char(0, '999')
to_char(0, '9.99')
to_char(0.1::float8, '0.9')
to_char(-0.1::float8, '99.99')
to_char(-0.1::float8, 'FM9.99')
to_char(0, 'FM999.99')
to_char(148.5::float8, '999.999')
to_char(148.5::float8, 'FM999.999')
to_char(148.5::float8, 'FM999.990')
to_char(1234567, '9,999,999')
to_char(1234, 'FM9,999,999')
to_char(485, 'S999')
to_char(-485, 'S999')
to_char(-485, '999S')
to_char(-485, '999MI')
to_char(485, '999MI')
to_char(-485, '999PR')
to_char(1.555::float8, 'FM990.00')
to_char(12, '"n="99')

-- Times
extract(month from timestamp '2024-03-05 14:07:09.5')
extract(second from timestamp '2024-03-05 14:07:09.5')
extract(epoch from timestamp '2024-03-05 14:07:09')
extract(dow from timestamp '2024-03-05')
extract(doy from timestamp '2024-03-05')
extract(quarter from timestamp '2024-03-05')
extract(week from timestamp '2024-03-05')
extract(hour from timestamp '2024-03-05 14:07:09')
date_trunc('hour', timestamp '2024-03-05 14:07:09')
date_trunc('day', timestamp '2024-03-05 14:07:09')
date_trunc('week', timestamp '2024-03-05 14:07:09')
date_trunc('month', timestamp '2024-03-05 14:07:09')
date_trunc('quarter', timestamp '2024-03-05 14:07:09')
date_trunc('year', timestamp '2024-03-05 14:07:09')
date_trunc('day', timestamptz '2024-03-05 23:30:00+00', 'Europe/Berlin')
date_trunc('month', timestamptz '2024-03-31 23:30:00+00', 'Europe/Berlin')
date_trunc('day', timestamptz '2024-03-05 23:30:00+00', 'Nowhere/Land')
date_bin(interval '15 minutes', timestamp '2024-03-05 14:07:09', timestamp '2000-01-01')
date_bin(interval '1 hour', timestamp '2024-03-05 14:07:09', timestamp '2000-01-01')
timestamptz '2024-03-05 14:07:09+00' at time zone 'Europe/Berlin'
timestamp '2024-03-05 14:07:09' at time zone 'Europe/Berlin'
timestamp '2024-07-05 14:07:09' at time zone 'America/New_York'
age(timestamp '2024-03-05', timestamp '2023-01-31')
age(timestamp '2024-03-05 10:00:00', timestamp '2024-03-01 11:30:00')
age(timestamp '2023-01-31', timestamp '2024-03-05')
timestamp '2024-03-05' + interval '1 day'
timestamp '2024-01-31' + interval '1 month'
timestamp '2024-03-05' - interval '36 hours'
timestamp '2024-03-05 14:00:00' - timestamp '2024-03-04 12:30:00'
timestamp '2024-03-05' > timestamp '2024-03-04'
to_timestamp(0)
to_timestamp(1700000000)
make_date(2024, 3, 5)
interval '1 year 2 months 3 days 4 hours 5 minutes 6.5 seconds'
interval '90 minutes'
interval '-1 day'
interval '0 seconds'
interval '1 day -1 hours'

-- Aggregates and windows
select sum(x) from (values (1), (2), (null)) t(x)
select avg(x) from (values (1), (2), (null)) t(x)
select count(x) from (values (1), (2), (null)) t(x)
select count(distinct x) from (values (1), (1), (2)) t(x)
select min(x) from (values ('b'), ('a')) t(x)
select bool_and(x) from (values (true), (false)) t(x)
select bool_or(x) from (values (true), (false)) t(x)
select string_agg(x, ',' order by x desc) from (values ('b'), ('a'), ('c')) t(x)
select array_agg(x order by x) from (values (2), (1)) t(x)
select percentile_cont(0.5) within group (order by x) from (values (1::float8), (2), (4)) t(x)
select percentile_cont(0.25) within group (order by x) from (values (1::float8), (2), (4)) t(x)
select stddev(x) from (values (1::float8), (2), (4)) t(x)
select stddev_pop(x) from (values (1::float8), (2), (4)) t(x)
select var_pop(x) from (values (1::float8), (2), (4)) t(x)
select var_samp(x) from (values (1::float8), (2), (4)) t(x)
select corr(x, y) from (values (1::float8, 2::float8), (2, 4), (3, 7)) t(x, y)
select covar_pop(x, y) from (values (1::float8, 2::float8), (2, 4), (3, 7)) t(x, y)
select covar_samp(x, y) from (values (1::float8, 2::float8), (2, 4), (3, 7)) t(x, y)
select regr_slope(y, x) from (values (1::float8, 2::float8), (2, 4), (3, 7)) t(x, y)
select regr_intercept(y, x) from (values (1::float8, 2::float8), (2, 4), (3, 7)) t(x, y)
select regr_r2(y, x) from (values (1::float8, 2::float8), (2, 4), (3, 7)) t(x, y)
select regr_count(y, x) from (values (1::float8, 2::float8), (2, null)) t(x, y)
select count(*) filter (where x > 1) from (values (1), (2), (3)) t(x)
select bit_and(x) from (values (6), (3)) t(x)
select bit_or(x) from (values (6), (3)) t(x)
select x from (values (2), (null), (1)) t(x) order by x limit 1
select x from (values (2), (null), (1)) t(x) order by x desc limit 1
select lag(x) over (order by x desc) from (values (1), (2)) t(x) order by x limit 1
select rank() over (order by x) from (values (1), (1), (2)) t(x) order by x desc limit 1
select dense_rank() over (order by x) from (values (1), (1), (2)) t(x) order by x desc limit 1
select ntile(2) over (order by x) from (values (1), (2), (3)) t(x) order by x desc limit 1
select sum(x) over (order by x) from (values (1), (2), (3)) t(x) order by x desc limit 1
select first_value(x) over (order by x) from (values (3), (2)) t(x) limit 1
cardinality(array[1, 2, 3])
array_length(array[1, 2, 3], 1)
array_to_string(array['a', 'b'], ',')
array[1, 2] || array[3]
array_append(array[1], 2)
array_position(array['a', 'b'], 'b')
select unnest(array[7]) as x
