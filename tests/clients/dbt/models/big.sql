{{ config(materialized='table', order_by='customer') }}
select customer, max(amount) as top from {{ ref('eph') }} group by customer
