{{ config(materialized='incremental', order_by='(day)', partition_by='toYYYYMM(day)', incremental_strategy='insert_overwrite') }}
select day, sum(amount) as amount from {{ ref('orders') }} group by day
