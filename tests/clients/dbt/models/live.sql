{{ config(materialized='materialized_view', engine='SummingMergeTree()', order_by='customer') }}
select customer, toInt64(count()) as orders from {{ ref('orders_raw') }} group by customer
