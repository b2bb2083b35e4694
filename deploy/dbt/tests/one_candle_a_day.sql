-- Returns the candles that are there twice.
SELECT coin_id, vs_currency, date
FROM {{ ref('fact_price_daily') }}
GROUP BY coin_id, vs_currency, date
HAVING count(*) > 1
