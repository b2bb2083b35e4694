SELECT
    day::date AS date,
    extract(isoyear FROM day)::int AS iso_year,
    extract(week FROM day)::int AS iso_week,
    extract(isodow FROM day)::int AS weekday
FROM generate_series(
    (SELECT min(date) FROM {{ ref('fact_price_daily') }}),
    (now() AT TIME ZONE 'UTC')::date,
    interval '1 day'
) AS day
