{% snapshot customer_history %}
{{ config(target_schema=target.schema, unique_key='customer', strategy='check', check_cols=['orders']) }}
select customer, orders from {{ ref('customers') }}
{% endsnapshot %}
