{{ config(materialized='incremental', order_by='(day)', unique_key='day', incremental_strategy='legacy') }}
select day, sum(amount) as amount from {{ ref('orders') }} group by day
