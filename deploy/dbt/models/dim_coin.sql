SELECT DISTINCT ON (coin_id)
    coin_id, symbol, name, max_supply, delisted_at IS NULL AS is_listed
FROM {{ source('coinspider', 'full_coin') }}
ORDER BY coin_id, last_updated DESC NULLS LAST
