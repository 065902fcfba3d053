create type order_status as enum ('paid', 'shipped', 'delivered');

create table customers (
    id           integer     primary key,
    email        text,
    phone        text,
    full_name    text        not null,
    birth_date   date,
    street       text        not null,
    postal_code  text        not null,
    city         text        not null,
    country      text        not null,
    language     text        not null,
    loyalty_tier text,
    created_at   timestamptz not null,
    updated_at   timestamptz not null
);

create table products (
    sku        text           primary key,
    name       text           not null,
    category   text           not null,
    price      numeric(12, 2) not null,
    currency   text           not null
);

create table orders (
    id            integer        primary key,
    order_number  text           not null unique,
    customer_id   integer        not null references customers,
    contact_email text,
    status        order_status   not null,
    amount        numeric(12, 2) not null,
    currency      text           not null,
    ordered_at    timestamptz    not null,
    delivered_at  timestamptz,
    updated_at    timestamptz    not null
);

create table order_lines (
    order_id   integer        references orders,
    line       integer,
    sku        text           not null references products,
    quantity   integer        not null check (quantity > 0),
    list_price numeric(12, 2) not null,
    amount     numeric(12, 2) not null,
    currency   text           not null,
    primary key (order_id, line)
);
