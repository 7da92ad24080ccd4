select id, customer, cents / 100 as amount, toDate(at) as day, at from {{ ref('orders_raw') }}
