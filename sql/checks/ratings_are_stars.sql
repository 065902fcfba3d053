-- Every rating is from 1 to 5 stars.
-- severity: warn
-- follows: mart.fct_reviews by review_id
select review_id, rating
from mart.fct_reviews
where (rating between 1 and 5) is not true
