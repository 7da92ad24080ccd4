{{ config(materialized='incremental', order_by='(day, id)', incremental_strategy='append') }}
select id, day, amount from {{ ref('orders') }}
{% if is_incremental() %} where id > (select max(id) from {{ this }}) {% endif %}
