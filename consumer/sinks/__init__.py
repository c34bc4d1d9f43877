"""The stores that hold read models. `contract` states what each promises; `postgresql` and `opensearch` keep it."""
