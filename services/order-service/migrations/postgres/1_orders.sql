CREATE TABLE orders (
    id      BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL
);

CREATE TABLE order_items (
    order_id BIGINT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    sku      TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, sku)
);

-- Order N belongs to user N.
INSERT INTO orders (id, user_id)
SELECT id, id FROM generate_series(1, 100) AS seed (id);

-- Two to four items each. What there is to order is inventory-service's catalogue.
WITH wares (n, sku) AS (
    VALUES (0, 'BOLT-M6'), (1, 'GEAR-20'), (2, 'LENS-35'), (3, 'MOTOR-12V'), (4, 'SENSOR-IR'),
           (5, 'BOLT-M8'), (6, 'GEAR-40'), (7, 'LENS-50'), (8, 'PANEL-A4'), (9, 'SENSOR-UV')
)
INSERT INTO order_items (order_id, sku, quantity)
SELECT orders.id, wares.sku, 1 + (orders.id + wares.n) % 5
FROM orders JOIN wares ON (wares.n + 10 - orders.id % 10) % 10 < 2 + orders.id % 3;
