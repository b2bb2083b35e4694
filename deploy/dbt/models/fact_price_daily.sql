{{ config(materialized='incremental', unique_key=['coin_id', 'vs_currency', 'date']) }}

SELECT
    coin_id, vs_currency, (started_at AT TIME ZONE 'UTC')::date AS date,
    open, high, low, close, market_cap, total_volume
FROM {{ source('coinspider', 'coin_candle_1d') }}
{% if is_incremental() %}
-- Older candles no longer change.
WHERE started_at >= (SELECT max(date) - 3 FROM {{ this }}) AT TIME ZONE 'UTC'
{% endif %}
