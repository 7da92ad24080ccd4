{{ config(materialized='ephemeral') }}
select customer, amount from {{ ref('orders') }} where amount > 1
