{{ config(materialized='table', engine='MergeTree()', order_by='customer') }}
select customer, count() as orders, sum(amount) as amount, min(day) as first_day from {{ ref('orders') }} group by customer
