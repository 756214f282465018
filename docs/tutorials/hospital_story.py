# %% [markdown]
# Ten hospitals hold records of their own patients. Together they could train a model that
# recognises a disease; none of them may show a record to anybody else. This notebook tells how they
# can have the model all the same, from first principles: what it means that an answer betrays
# nobody, which noise that takes, and what goes wrong when it is done naively.

# %%
import numpy as np

import fedpate
from fedpate import accountant, mechanisms
from fedpate.privacy.sensitivity import column_sensitivity
from fedpate.rng import stream

rng = stream(0, "the hospital story")  # of the invented patients; never of privacy noise

# %% [markdown]
# ## One patient more or less: parallel databases
#
# A hospital counts its diabetics. The answer is a sum over patients, and no name is in it. Is it
# harmless? Take the same database without Anna, a *parallel database*, and ask again.

# %%
diabetic = (rng.random(1000) < 0.3).astype(int)  # one row per patient
diabetic[17] = 1  # Anna's, and she told her doctor only
with_anna = diabetic.sum()
without_anna = np.delete(diabetic, 17).sum()
print("with Anna:", with_anna, " without Anna:", without_anna)
print("so Anna's secret is", with_anna - without_anna)
assert with_anna - without_anna == diabetic[17]

# %% [markdown]
# Two harmless answers, one betrayed patient: whoever sees both has subtracted everybody else. What
# matters is how far *one* patient can move the answer. That is the query's **sensitivity**. Remove
# each patient in turn and take the largest change:

# %%
for query in ("sum", "mean", "max"):
    parallel = column_sensitivity(query, diabetic, lower=0, upper=1)
    print(
        f"{query:>4}: moves by up to {parallel.empirical:.4f} here,",
        f"by up to {parallel.bound:.4f} in any database of this size",
    )

# %% [markdown]
# The first number is measured on *these* patients, so it is a secret too, and other patients might
# move the answer further. The second follows from what is possible at all (values from 0 to 1), and
# only that one may set the noise. The mean of a thousand patients hardly moves, the maximum may
# jump: averages over many are cheap to protect, extremes are dear.
#
# ## Laplace noise, and what epsilon means
#
# Add noise that is wide compared with what one patient can do: Laplace noise of scale sensitivity /
# epsilon. Then no answer is more than e^epsilon times as likely with Anna as without her.

# %%
for epsilon in (0.1, 1.0, 10.0):
    answers = column_sensitivity("sum", diabetic, lower=0, upper=1, epsilon=epsilon)
    print(f"epsilon {epsilon:>4}:", np.round(answers.noisy_answers, 1), "instead of", with_anna)

# %% [markdown]
# **Smaller epsilon is more private** and noisier; some texts have it the wrong way round. At 0.1
# the answer is blurred by tens of patients, at 10 by a fraction of one, which hides nobody.
#
# What is promised is a limit on what can be *learned*. Suppose that somebody thinks it a coin toss
# whether Anna is diabetic. After an answer with epsilon they can be this sure, at most:

# %%
for epsilon in (0.1, 0.5, 1.0, 2.0, 5.0, 10.0):
    belief = np.exp(epsilon) / (1 + np.exp(epsilon))
    print(f"epsilon {epsilon:>4}: from 50 % to at most {100 * belief:.1f} %")

# %% [markdown]
# Up to about 1 a patient can shrug. At 5 the promise is thin, at 10 it is a form of words. And
# prices add up: two answers at epsilon 1 are epsilon 2. That is why somebody has to keep a
# **ledger**.
#
# ## Randomized response: when nobody is trusted
#
# The noise above is added by whoever holds all records. If there is no such person, each patient
# can blur their own answer: toss a coin, tell the truth on heads; on tails toss again and say yes
# or no by that second coin. Nobody's answer says much (epsilon ln 3), and the average can still be
# recovered.

# %%
truthful, second = rng.random(1000) < 0.5, rng.random(1000) < 0.5
said = np.where(truthful, diabetic, second)
print(f"said yes: {said.mean():.3f}, recovered: {2 * (said.mean() - 0.25):.3f},")
print(f"the truth: {diabetic.mean():.3f}")

# %% [markdown]
# The price of trusting nobody is accuracy: the error is several times that of central noise at the
# same epsilon. In fedpate this choice is called `trust=local`.
#
# ## The noisy maximum: labels instead of numbers
#
# Now to the model. Ten hospitals train one classifier each, a *teacher*, on their own patients. A
# record that belongs to none of them (public, without a label) is shown to all ten, each votes for
# a diagnosis, and the majority becomes the record's label. From many such labels anybody can train
# a *student*; the teachers never leave their hospitals. This is PATE.
#
# The majority alone is not private: with five votes against five, one patient can tip a teacher,
# and the teacher the label. So noise is added to the counts before the winner is read off, and only
# the winner leaves.

# %%
ten_votes = np.array([[7, 3]])  # seven hospitals say "ill", three say "healthy"
for scale in (0.5, 2.0, 20.0):
    mechanism = mechanisms.LaplaceMax(noise_scale=scale)
    labels = [mechanisms.release(ten_votes, mechanism)[0] for _ in range(500)]
    price = accountant.price(mechanism, queries=1, classes=2).patient
    print(
        f"noise of {scale:>4} votes: {100 * np.mean(np.equal(labels, 0)):.0f} % of the labels are",
        f"the majority's, at epsilon {price.epsilon:.2f} per patient and label",
    )

# %% [markdown]
# The pattern of everything that follows: noise has to be wide compared with **one** vote, and small
# compared with the **lead** of the winner. Ten votes leave little room between the two.
#
# ## What goes wrong with one teacher per hospital
#
# A student needs many labels, say a hundred. What do they cost with ten hospitals, one teacher
# each?

# %%
for scale in (1.0, 3.0, 10.0):
    price = accountant.price(mechanisms.GaussianMax(scale), queries=100, classes=10)
    print(f"noise of {scale:>4} votes:", price)

# %% [markdown]
# With noise of a single vote the labels would be usable, and epsilon is far beyond anything that
# means something. With noise of ten votes epsilon is moderate, and ten votes drown in it. No
# setting in between is good; the planner says so before anybody trains anything:

# %%
alone = fedpate.plan(hospitals=10, teachers_per_hospital=1, labels=100, target_epsilon=2)
print(alone)
assert not alone.useful

# %% [markdown]
# Notice also that per hospital and per patient are the same here: one teacher is all that a
# hospital has, so hiding one patient is as hard as hiding the hospital.
#
# ## Several teachers per hospital
#
# The way out: each hospital deals its patients to several shards, no patient to two of them, and
# trains a teacher on each. There are more votes, a patient still moves only one of them, and so the
# same noise hides a patient while it no longer drowns the majority.

# %%
for teachers in (1, 5, 25):
    best = fedpate.plan(
        hospitals=10, teachers_per_hospital=teachers, labels=100, target_epsilon=2
    ).best
    print(
        f"{teachers:>2} teachers per hospital: {100 * best.accuracy:.0f} % of the labels right,",
        f"epsilon {best.epsilon['patient']:.2f} per patient,",
        f"{best.epsilon['hospital']:.2f} per hospital",
    )

# %% [markdown]
# The two privacy units part ways. A patient is well hidden among 250 votes; a *hospital* moves all
# its 25 teachers and is not hidden at all. Both numbers are true, they answer different questions,
# and fedpate never prints one without saying which it is.
#
# ## Ten hospitals
#
# Now in earnest: handwritten digits stand in for records (every image is a patient), ten hospitals,
# five teachers each. Hospitals and coordinator are the same programs that run on separate machines
# in a real federation.

# %%
result = fedpate.simulate(data="digits", hospitals=10, teachers_per_hospital=5, queries=100)
result

# %%
result.plot()

# %% [markdown]
# "Labels without noise" is what the majority would have said; "released labels" is what was let
# out. The difference is the price of privacy, and the student wins part of it back. The
# *guaranteed* epsilon holds whatever the votes were. The data-dependent one is smaller, because it
# looks at how clear the votes were; so it says something about the patients itself, and may not be
# published.
#
# The student is an ordinary model, and using it costs nothing more: it has seen released labels
# only.

# %%
released = result.labels[result.labels >= 0]
print(len(released), "labels were released; the first ten:", released[:10])
blank = np.zeros((1, 64), dtype=np.float32)  # an image with nothing on it
print("the student takes an empty image for a", result.student.predict(blank).argmax())

# %% [markdown]
# ## Is the promise kept?
#
# A claimed epsilon can be tested: sample the mechanism many times on two neighbouring votes, and
# see how well they can be told apart. The measured value is a lower bound. Below the claim it
# proves nothing, above it the claim is false, and half of the noise forgotten is found in seconds.

# %%
audited = fedpate.audit(mechanisms.LaplaceMax(noise_scale=2.0), classes=2, teachers=10, trials=5000)
print(f"claimed epsilon {audited.claimed:.2f}, measured at least {audited.lower_bound:.2f}")
assert audited.passed

# %% [markdown]
# ## What to take along
#
# - Sensitivity is what one patient can change; it comes from what is possible, not from the data.
# - Smaller epsilon is more noise and more privacy, and epsilon adds up: keep a ledger, charge
#   first.
# - An epsilon without its unit (patient? hospital?) and its delta says nothing.
# - Many teachers on patients that they do not share are worth more than any clever mechanism.
